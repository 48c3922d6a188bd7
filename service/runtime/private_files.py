"""Files and folders that nobody but their owner may read, whatever the umask is."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def make_private_folder(path: Path) -> None:
    """Makes a folder, and those above it that are missing. What is there already keeps its mode.

    Raises:
        OSError: if it cannot be made, or is a file.
    """
    if not path.parent.exists():
        make_private_folder(path.parent)
    path.mkdir(FOLDER_MODE, exist_ok=True)


def open_private(path: str, flags: int) -> int:
    """An ``opener`` for ``open``: a file that is made gets the mode."""
    return os.open(path, flags, FILE_MODE)


def make_private_file(path: Path) -> None:
    """Makes an empty file unless there is one, and takes one that is there from all but its owner.

    What goes wrong is passed over: whoever opens the file tells it better.
    """
    with suppress(OSError):
        os.close(open_private(str(path), os.O_CREAT | os.O_RDONLY))
    with suppress(OSError):
        path.chmod(FILE_MODE)


def is_seen_by_others(path: Path) -> bool:
    """Tells if others on this machine may look into a folder; not into one that is still to be made."""
    return os.name == "posix" and path.exists() and bool(path.stat().st_mode & 0o077)
