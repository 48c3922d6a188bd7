"""Layers around every request: its id and limits, who asks, the log."""
