from __future__ import annotations

from tests.service.postgres import new_postgres

__all__ = ["new_postgres"]
