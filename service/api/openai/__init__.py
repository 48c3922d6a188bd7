"""The OpenAI Images API, for clients that speak that already."""
