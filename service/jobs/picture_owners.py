"""Owners of pictures, and their feedback."""

from __future__ import annotations

import time

from sqlalchemy import delete, insert, select

from service.database.connect import Database
from service.database.schema import feedback, image_owners


def owns_image(database: Database, sha256: str, owner: str) -> bool:
    """Returns True if a job of this owner made this picture."""
    held = (image_owners.c.sha256 == sha256) & (image_owners.c.owner == owner)
    with database.read() as connection:
        return connection.execute(select(image_owners.c.sha256).where(held)).first() is not None


def keep_feedback(database: Database, sha256: str, region: int, verdict: str, owner: str) -> None:
    """Stores an owner's verdict on one region of a picture, replacing an earlier one."""
    same = (feedback.c.sha256 == sha256) & (feedback.c.region == region) & (feedback.c.owner == owner)
    with database.write() as connection:
        connection.execute(delete(feedback).where(same))
        connection.execute(
            insert(feedback).values(
                sha256=sha256, region=region, verdict=verdict, owner=owner, created_at=time.time()
            )
        )
