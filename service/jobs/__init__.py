"""Durable jobs: the job table, the workers that run jobs, and the clients that wait for them."""
