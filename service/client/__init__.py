"""The Python client of the service: ``from service.client import Anatomend``."""

from service.client.client import Anatomend, Result

__all__ = ["Anatomend", "Result"]
