"""The HTTP edge: bytes and JSON in, the engine's records out again as JSON and PNG."""
