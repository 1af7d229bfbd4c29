"""The pipelines' own programs: stdlib only where a job renders what strangers sent."""
