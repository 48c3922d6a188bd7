"""Offline: makes the data and trains the bundled models. Nothing imports this package."""
