"""Is an account ready for a fleet: read-only questions to a cloud's own CLI, and what to do about them."""
