"""Liveness of this machine's workers: locks on files, which the kernel frees when a process ends.

Neither a clock that is set back, nor a reused process id, nor a restart of the machine or of the container
can make a dead worker look alive.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # not on Windows: there a dead worker's job waits until its lease expires
    fcntl = None  # type: ignore[assignment]

FOLDER = "workers"
_SUFFIX = ".alive"

_log = logging.getLogger(__name__)


@contextmanager
def alive(folder: Path, worker_id: str) -> Iterator[None]:
    """Shows that a worker lives, as long as its process does or until the end of the block."""
    try:
        held = _held(folder, worker_id)
    except OSError as error:  # a worker without a lock file also works: its lease expires by itself
        _log.warning("the worker can leave no sign of life: %s", error)
        yield
        return
    with held:
        try:
            yield
        finally:
            forget(folder, worker_id)


def _held(folder: Path, worker_id: str) -> IO[str]:
    """Returns the worker's file, locked before it gets its name, so that nobody finds it unlocked."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sign = folder / f"{worker_id}{_SUFFIX}"
    new = sign.with_suffix(".new")
    handle = new.open("w")
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX)
        new.rename(sign)
    except OSError:
        handle.close()
        raise
    return handle


def dead(folder: Path) -> set[str]:
    """Returns the ids of workers with a file here whose process is gone."""
    try:
        return {sign.stem for sign in folder.glob(f"*{_SUFFIX}") if not _is_held(sign)}
    except OSError as error:
        _log.warning("dead workers cannot be looked for: %s", error)
        return set()


def forget(folder: Path, worker_id: str) -> None:
    """Removes a dead worker's file."""
    with suppress(OSError):
        (folder / f"{worker_id}{_SUFFIX}").unlink(missing_ok=True)


def _is_held(sign: Path) -> bool:
    if fcntl is None:
        return True
    try:
        with sign.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked, or removed at this moment
        return True
    return False
