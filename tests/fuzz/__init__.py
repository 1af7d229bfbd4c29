"""Coverage-guided fuzzing of every parser: `targets` are what is fed, `hunt` feeds one, `__main__` all."""
