"""`tunnel evidence`: one file per verb."""
