"""Runs of the generator: candidates, the watch over them, and the choice of the best."""
