"""The native addresses."""
