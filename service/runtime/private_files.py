"""Files and folders that only their owner may read, whatever the umask is."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def make_private_folder(path: Path) -> None:
    """Makes a folder and its missing parents. Existing folders keep their mode.

    Raises:
        OSError: if it cannot be made, or is a file.
    """
    if not path.parent.exists():
        make_private_folder(path.parent)
    path.mkdir(FOLDER_MODE, exist_ok=True)


def open_private(path: str, flags: int) -> int:
    """Opens a file as an ``opener`` for ``open``; a new file gets the private mode."""
    return os.open(path, flags, FILE_MODE)


def make_private_file(path: Path) -> None:
    """Makes an empty file if it is missing, and removes all rights of others from an existing one.

    An existing file is never opened: when a process closes a file, the kernel drops all locks that the
    process has on it, also those of SQLite, and another process then removes the journal that is in use.
    Errors are ignored: opening the file afterwards reports them better.
    """
    with suppress(OSError):
        if not path.exists():
            _make_empty(path)
        path.chmod(FILE_MODE)


def _make_empty(path: Path) -> None:
    """Makes the file under another name, so that it is never open under its own."""
    new = path.with_name(f"{path.name}.{uuid.uuid4().hex}.new")
    os.close(open_private(str(new), os.O_CREAT | os.O_EXCL | os.O_RDONLY))
    try:
        os.link(new, path)  # unlike a rename, it replaces no file that somebody else made meanwhile
    finally:
        new.unlink()


def is_seen_by_others(path: Path) -> bool:
    """Returns True if others on this machine may read a folder; False for one that is still to be made."""
    return os.name == "posix" and path.exists() and bool(path.stat().st_mode & 0o077)
