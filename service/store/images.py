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
    """One picture that is kept.

    Attributes:
        modified_s: when it was last put, in seconds since the epoch.
    """

    sha256: str
    size_bytes: int
    modified_s: float


class ImageStore:
    """PNG files that never change once they are there.

    Args:
        place: where they are kept; a path is a folder, which is made when the first one is put.
    """

    def __init__(self, place: Blobs | Path) -> None:
        self._blobs: Blobs = Folder(place) if isinstance(place, Path) else place

    def put(self, png: bytes) -> str:
        """Keeps the bytes and returns their sha256 in hexadecimal. The same bytes are kept once.

        What lies under their name and is something else, cut short say, is written anew.

        Raises:
            StorageFull: if there is no room; nothing of it is then there.
            StorageUnavailable, OSError: if they cannot be written.
        """
        sha256 = hashlib.sha256(png).hexdigest()
        self._blobs.write(_name(sha256), png)
        return sha256

    def get(self, sha256: str) -> bytes:
        """The bytes kept under this hash.

        Raises:
            NotFound: ``unknown_image``, also for anything that is no hash: it never becomes a path.
            StorageDamaged: if they are others than were put.
            StorageUnavailable, OSError: if they cannot be read.
        """
        if not _SHA256.fullmatch(sha256):
            raise unknown_image()
        try:
            png = self._blobs.read(_name(sha256))
        except FileNotFoundError:
            raise unknown_image() from None
        # A gigabyte a second: half a millisecond for a picture, and less than it takes to send it.
        if hashlib.sha256(png).hexdigest() != sha256:
            raise StorageDamaged(
                f"what is kept as {sha256} is damaged: {len(png)} bytes of something else",
                allowed="make or upload the same picture again, which mends it, or restore it from a backup",
            )
        return png

    def exists(self, sha256: str) -> bool:
        """Whether a picture is kept under this hash; never under anything that is no hash."""
        return _SHA256.fullmatch(sha256) is not None and self._blobs.exists(_name(sha256))

    def delete(self, sha256: str, unless_younger_than_s: float = 0.0) -> bool:
        """Removes a picture and says whether it did: one that was put again just now may be spared."""
        return _SHA256.fullmatch(sha256) is not None and self._blobs.delete(
            _name(sha256), unless_younger_than_s
        )

    def entries(self) -> Iterator[Stored]:
        """All that is kept, in no order. Files of other names are none of ours."""
        for name, size_bytes, modified_s in self._blobs.entries():
            if ours := _NAME.fullmatch(name):
                yield Stored(ours[1], size_bytes, modified_s)

    def tidy(self, older_than_s: float) -> None:
        """Removes what broken-off writes have left behind, if it is at least so old."""
        self._blobs.tidy(older_than_s)


def _name(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}.png"


def unknown_image() -> NotFound:
    """The refusal of a name under which there is no picture, or none that the caller may see."""
    return NotFound(
        "there is no picture of this name",
        code="unknown_image",
        allowed="the sha256 of a picture that this service made, as 64 lower-case hexadecimal digits",
    )
