"""The verbs of `tunnel-fleet`, one file each: `run(arguments)` answers, or raises an error of ours."""
