"""API keys: made, listed and revoked by the operator, and looked up at every request."""
