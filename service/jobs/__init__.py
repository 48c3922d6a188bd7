"""Durable jobs: the table, who works on them, and who waits for them."""
