"""The OpenAI Images API, for existing clients of it."""
