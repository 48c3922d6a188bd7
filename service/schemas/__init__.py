"""Conversion between bytes or JSON and records, for the HTTP API, the command line and the worker."""
