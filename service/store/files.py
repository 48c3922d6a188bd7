"""Files that are written completely or not at all."""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from service.core.errors import StorageFull
from service.runtime.private_files import make_private_folder, open_private
from service.store.blobs import Entry

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_PART = ".part"


def write_atomically(path: Path, content: bytes, is_private: bool = False) -> None:
    """Writes ``content`` beside ``path`` and then moves it there, so that readers never see a part of it.

    Args:
        path: the destination; its folder must exist.
        content: all bytes of the file.
        is_private: whether only the owner may read it, whatever the umask is.

    Raises:
        StorageFull: if there is no space left.
        OSError: if it cannot be written for another reason; in both cases ``path`` is unchanged.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}{_PART}")
    try:
        # pathlib's own open takes no opener.
        with open(temporary, "xb", opener=open_private if is_private else None) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in _NO_ROOM:
            raise StorageFull(
                f"there is no room for {len(content)} bytes more", allowed="free some space, and try again"
            ) from error
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class Folder:
    """Blobs as files in a folder.

    Args:
        root: the folder; made at the first write.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, name: str, content: bytes) -> None:
        """Stores the bytes; see ``Blobs``."""
        path = self._root / name
        with suppress(FileNotFoundError):
            if _holds(path, content):
                os.utime(path)  # renews its age
                return
        _make_folder(path.parent)
        write_atomically(path, content, is_private=True)

    def read(self, name: str) -> bytes:
        """Returns the bytes; see ``Blobs``."""
        return (self._root / name).read_bytes()

    def exists(self, name: str) -> bool:
        """Returns True if the file exists; see ``Blobs``."""
        return (self._root / name).is_file()

    def delete(self, name: str, unless_younger_than_s: float = 0.0) -> bool:
        """Removes a file; see ``Blobs``."""
        path = self._root / name
        try:
            if time.time() - path.stat().st_mtime < unless_younger_than_s:
                return False
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def entries(self) -> Iterator[Entry]:
        """Yields all files; see ``Blobs``."""
        for path in self._root.rglob("*"):
            try:
                facts = path.stat()
            except FileNotFoundError:  # removed during the loop
                continue
            if path.is_file() and path.suffix != _PART:
                yield Entry(path.relative_to(self._root).as_posix(), facts.st_size, facts.st_mtime)

    def tidy(self, older_than_s: float) -> None:
        """Removes the temporary files of killed processes; see ``Blobs``."""
        for path in self._root.rglob(f".*{_PART}"):
            self.delete(path.relative_to(self._root).as_posix(), older_than_s)


def _holds(path: Path, content: bytes) -> bool:
    """Returns True if a file holds exactly this; a damaged or full disk may have truncated it."""
    return path.stat().st_size == len(content) and path.read_bytes() == content


def _make_folder(path: Path) -> None:
    try:
        make_private_folder(path)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull("there is no room for another folder", allowed="free some space") from error
        raise
