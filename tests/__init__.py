"""Tests, their doubles that speak real formats, and the local fleet."""
