"""Branch coverage of each pure module by its own test file alone."""
