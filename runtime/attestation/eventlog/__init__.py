"""Logs of what was measured: `events` reads records, `tcg` and `ccel` say what the registers should hold."""
