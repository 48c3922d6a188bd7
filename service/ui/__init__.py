"""The page at ``/``: static files, and what serves them."""
