"""The fleet as infrastructure: configuration to plan (pure), plan to machines and records (Pulumi)."""
