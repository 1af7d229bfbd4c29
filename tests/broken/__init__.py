"""Defences broken on purpose, each in a copy of the tree, to see that a test notices (`make broken`)."""
