"""What endorsers publish: `wanted` names it, `contents` reads it, the rest gets and keeps it."""
