"""Predict what firmware, stub and kernel will measure of an image. Pure."""
