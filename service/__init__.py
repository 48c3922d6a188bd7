"""The service: generate, look, repair in place, look again."""
