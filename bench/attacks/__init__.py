"""Attacks on the service, and accidents, with measurements: ``python -m bench.attacks NAME``."""
