"""Blobs in a bucket: S3, and all services with its protocol."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, S3Store

from service.core.errors import StorageFull, StorageUnavailable
from service.store.blobs import Entry

_log = logging.getLogger(__name__)

# Names of this error in the answers of MinIO and Ceph, and the equivalent status.
_NO_ROOM = ("StorageFull", "QuotaExceeded", "507 Insufficient Storage")
_TIMEOUT = timedelta(seconds=30)


class Bucket:
    """Blobs as objects of a bucket.

    Args:
        objects: the client of the bucket.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def write(self, name: str, content: bytes) -> None:
        """Stores the bytes; see ``Blobs``. Always uploaded, which also renews their age."""
        with _told():
            # In one request: an interrupted multipart upload would stay there unseen, and cost money.
            obstore.put(self._objects, name, content, use_multipart=False)

    def read(self, name: str) -> bytes:
        """Returns the bytes; see ``Blobs``."""
        with _told(absence_is_known=True):
            return bytes(obstore.get(self._objects, name).bytes())

    def exists(self, name: str) -> bool:
        """Returns True if the object exists; see ``Blobs``."""
        return self._modified_s(name) is not None

    def delete(self, name: str, unless_younger_than_s: float = 0.0) -> bool:
        """Removes an object; see ``Blobs``."""
        modified_s = self._modified_s(name)
        if modified_s is None or time.time() - modified_s < unless_younger_than_s:
            return False
        with _told():
            obstore.delete(self._objects, name)
        return True

    def entries(self) -> Iterator[Entry]:
        """Yields all objects; see ``Blobs``."""
        with _told():
            for page in obstore.list(self._objects):
                for item in page:
                    yield Entry(item["path"], item["size"], item["last_modified"].timestamp())

    def tidy(self, older_than_s: float) -> None:
        """Does nothing: an object exists once its single request has ended, or not at all."""

    def _modified_s(self, name: str) -> float | None:
        try:
            with _told(absence_is_known=True):
                return obstore.head(self._objects, name)["last_modified"].timestamp()
        except FileNotFoundError:
            return None


def open_bucket(bucket: str, prefix: str, endpoint: str | None, region: str | None) -> Bucket:
    """Opens a bucket by its name; the keys come from the usual environment variables of S3 clients.

    Args:
        bucket: the name of the bucket.
        prefix: prepended to every name, without slashes at its ends; may be empty.
        endpoint: the URL of a server other than Amazon's, ``http://`` or ``https://``.
        region: the region, if the server has several.
    """
    config: dict[str, object] = {}
    if endpoint:
        config["endpoint"] = endpoint
    if region:
        config["region"] = region
    return Bucket(
        S3Store(
            bucket,
            prefix=prefix or None,
            client_options={
                "timeout": _TIMEOUT,
                "allow_http": endpoint is not None and endpoint.startswith("http://"),
            },
            retry_config={"max_retries": 3, "retry_timeout": _TIMEOUT},
            **config,  # type: ignore[arg-type]
        )
    )


@contextmanager
def _told(absence_is_known: bool = False) -> Iterator[None]:
    """Translates the library's errors; an expected FileNotFoundError is left alone.

    A missing bucket raises it, too.
    """
    try:
        yield
    except (BaseError, OSError) as error:
        if absence_is_known and isinstance(error, FileNotFoundError):
            raise
        text = str(error)
        if any(mark in text for mark in _NO_ROOM):
            raise StorageFull("the bucket has no room left", allowed="free some space") from error
        _log.error("the bucket failed: %s", text)
        raise StorageUnavailable("the bucket does not answer, or refuses; the log tells why") from error
