"""The HTTP edge: addresses, negotiation, problems; what is said there is in ``service.schemas``."""
