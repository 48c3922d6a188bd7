"""The composition root: loaded models put together; one request in, one report out."""
