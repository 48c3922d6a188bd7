"""What a place to keep bytes in must be able to do. Names are paths with slashes, relative to the place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """One thing that is kept.

    Attributes:
        modified_s: when it was last written, in seconds since the epoch.
    """

    name: str
    size_bytes: int
    modified_s: float


class Blobs(Protocol):
    """Bytes by name. The bytes under one name are always the same: names are made of their hash.

    All methods raise ``StorageUnavailable`` (or ``OSError``, from a folder) if the place fails.
    """

    def write(self, name: str, content: bytes) -> None:
        """Keeps the bytes, wholly or not at all; what is there already becomes as young as if new.

        Something else under this name, which can only be what is left of them, is replaced.

        Raises:
            StorageFull: if there is no room.
        """
        ...

    def read(self, name: str) -> bytes:
        """The bytes.

        Raises:
            FileNotFoundError: if there are none.
        """
        ...

    def exists(self, name: str) -> bool:
        """Whether something is kept under this name."""
        ...

    def delete(self, name: str, unless_younger_than_s: float = 0.0) -> bool:
        """Removes it and says whether it did; looks at its age just before."""
        ...

    def entries(self) -> Iterator[Entry]:
        """All that is kept, in no order."""
        ...

    def tidy(self, older_than_s: float) -> None:
        """Removes what broken-off writes have left behind, if it is at least so old."""
        ...
