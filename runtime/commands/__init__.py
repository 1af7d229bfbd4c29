"""The command `tunnel`: one file per verb, and what they are composed of."""
