"""Repair methods, each of which draws candidates for one region."""
