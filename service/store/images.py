"""Pictures and masks as PNG files, each named by the sha256 of its bytes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from service.errors import NotFound
from service.store.files import write_atomically

_SHA256 = re.compile(r"[0-9a-f]{64}")


class ImageStore:
    """A folder of PNG files that never change once they are there.

    Args:
        root: where they lie; made when the first one is put.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, png: bytes) -> str:
        """Keeps the bytes and returns their sha256 in hexadecimal. The same bytes are kept once.

        Raises:
            OSError: if they cannot be written.
        """
        sha256 = hashlib.sha256(png).hexdigest()
        path = self._path(sha256)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, png)
        return sha256

    def get(self, sha256: str) -> bytes:
        """The bytes kept under this hash.

        Raises:
            NotFound: ``unknown_image``, also for anything that is no hash: it never becomes a path.
        """
        if _SHA256.fullmatch(sha256):
            try:
                return self._path(sha256).read_bytes()
            except FileNotFoundError:
                pass
        raise unknown_image()

    def _path(self, sha256: str) -> Path:
        return self._root / sha256[:2] / f"{sha256}.png"


def unknown_image() -> NotFound:
    """The refusal of a name under which there is no picture, or none that the caller may see."""
    return NotFound(
        "there is no picture of this name",
        code="unknown_image",
        allowed="the sha256 of a picture that this service made, as 64 lower-case hexadecimal digits",
    )
