"""Announced tests and planned silences: made, in force, over."""
