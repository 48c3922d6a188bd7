"""Bytes and JSON to the project's records and back: for the HTTP edge, the command line and the worker alike."""
