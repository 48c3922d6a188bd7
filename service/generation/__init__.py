"""Runs of the generator: candidates, the watch, and the choice of the best."""
