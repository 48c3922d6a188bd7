"""API keys: made, listed and revoked by the operator, and checked at every request."""
