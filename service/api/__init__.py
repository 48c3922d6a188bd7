"""The HTTP API: routes, negotiation, problems; the bodies and answers are in ``service.schemas``."""
