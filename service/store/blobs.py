"""The interface of blob storage. Names are paths with slashes, relative to the root of the storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """One stored blob.

    Attributes:
        modified_s: when it was last written, in seconds since the epoch.
    """

    name: str
    size_bytes: int
    modified_s: float


class Blobs(Protocol):
    """Storage of bytes by name. The bytes under one name never change: names are made of their hash.

    All methods raise ``StorageUnavailable`` (or ``OSError``, from a folder) if the storage fails.
    """

    def write(self, name: str, content: bytes) -> None:
        """Stores the bytes completely or not at all; existing ones get the current time as their age.

        Other bytes under this name, which can only be a damaged copy, are replaced.

        Raises:
            StorageFull: if there is no space left.
        """
        ...

    def read(self, name: str) -> bytes:
        """Returns the bytes.

        Raises:
            FileNotFoundError: if there is no such blob.
        """
        ...

    def exists(self, name: str) -> bool:
        """Returns True if there is a blob of this name."""
        ...

    def delete(self, name: str, unless_younger_than_s: float = 0.0) -> bool:
        """Removes a blob unless it is too young, checked just before; returns True if it was removed."""
        ...

    def entries(self) -> Iterator[Entry]:
        """Yields all blobs, in no order."""
        ...

    def tidy(self, older_than_s: float) -> None:
        """Removes the remains of interrupted writes of at least this age."""
        ...
