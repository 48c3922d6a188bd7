"""Pictures and masks as PNG files, each named by the sha256 of its bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from service.core.errors import NotFound, StorageDamaged
from service.store.blobs import Blobs
from service.store.files import Folder

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[0-9a-f]{2}/([0-9a-f]{64})\.png")


class Stored(NamedTuple):
    """One stored picture.

    Attributes:
        modified_s: the time of the last ``put``, in seconds since the epoch.
    """

    sha256: str
    size_bytes: int
    modified_s: float


class ImageStore:
    """Immutable PNG files.

    Args:
        place: the storage; a path is a folder, which is made at the first ``put``.
    """

    def __init__(self, place: Blobs | Path) -> None:
        self._blobs: Blobs = Folder(place) if isinstance(place, Path) else place

    def put(self, png: bytes) -> str:
        """Stores the bytes once and returns their sha256 in hexadecimal.

        A damaged copy, for example a truncated one, is replaced.

        Raises:
            StorageFull: if there is no space left; then nothing is stored.
            StorageUnavailable, OSError: if the bytes cannot be written.
        """
        sha256 = hashlib.sha256(png).hexdigest()
        self._blobs.write(_name(sha256), png)
        return sha256

    def get(self, sha256: str) -> bytes:
        """Returns the bytes with this hash.

        Raises:
            NotFound: ``unknown_image``, also for an invalid hash: it never becomes a path.
            StorageDamaged: if the bytes do not match the hash.
            StorageUnavailable, OSError: if the bytes cannot be read.
        """
        if not _SHA256.fullmatch(sha256):
            raise unknown_image()
        try:
            png = self._blobs.read(_name(sha256))
        except FileNotFoundError:
            raise unknown_image() from None
        # Hashes a gigabyte per second: half a millisecond for a picture, less than the time to send it.
        if hashlib.sha256(png).hexdigest() != sha256:
            raise StorageDamaged(
                f"what is kept as {sha256} is damaged: {len(png)} bytes of something else",
                allowed="make or upload the same picture again, which mends it, or restore it from a backup",
            )
        return png

    def exists(self, sha256: str) -> bool:
        """Returns True if a picture with this hash is stored; False for an invalid hash."""
        return _SHA256.fullmatch(sha256) is not None and self._blobs.exists(_name(sha256))

    def delete(self, sha256: str, unless_younger_than_s: float = 0.0) -> bool:
        """Removes a picture unless it was put again just now; returns True if it was removed."""
        return _SHA256.fullmatch(sha256) is not None and self._blobs.delete(
            _name(sha256), unless_younger_than_s
        )

    def entries(self) -> Iterator[Stored]:
        """Yields all pictures, in no order. Files with other names are ignored."""
        for name, size_bytes, modified_s in self._blobs.entries():
            if ours := _NAME.fullmatch(name):
                yield Stored(ours[1], size_bytes, modified_s)

    def tidy(self, older_than_s: float) -> None:
        """Removes the remains of interrupted writes of at least this age."""
        self._blobs.tidy(older_than_s)


def _name(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}.png"


def unknown_image() -> NotFound:
    """Returns the error for a picture that does not exist or that the caller may not see."""
    return NotFound(
        "there is no picture of this name",
        code="unknown_image",
        allowed="the sha256 of a picture that this service made, as 64 lower-case hexadecimal digits",
    )
