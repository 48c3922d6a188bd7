"""Middleware around every request: its id, its limits, the caller's key, the log."""
