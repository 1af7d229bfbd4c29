"""One small change of a deciding module at a time: a test of its own has to notice."""
