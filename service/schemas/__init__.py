"""Bytes and JSON to records and back: for the HTTP edge, the command line and the worker alike."""
