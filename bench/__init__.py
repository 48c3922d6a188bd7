"""Measures what is claimed. Nothing imports it."""
