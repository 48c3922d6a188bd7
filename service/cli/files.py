"""Files that a command reads and writes."""

from __future__ import annotations

from pathlib import Path

from service.core.errors import AnatomendError, InvalidRequest
from service.store.files import write_atomically


def read(path: Path) -> bytes:
    """Returns the bytes of a file.

    Raises:
        InvalidRequest: ``unreadable_file``.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}", code="unreadable_file") from error


def png_path(path: Path | None) -> Path:
    """Checks the path of a picture before the work, not after it.

    Raises:
        InvalidRequest: if it is missing, not a PNG's, or cannot be written.
    """
    if path is None:
        raise InvalidRequest("no output is named", code="missing_parameter", allowed="-o NAME.png")
    if path.suffix.lower() != ".png":
        raise InvalidRequest(
            f"{path}: pictures are written as PNG", code="unsupported_type", allowed="NAME.png"
        )
    if not path.parent.is_dir() or path.is_dir():
        raise InvalidRequest(
            f"cannot write {path}: {'is a folder' if path.is_dir() else 'no such folder'}",
            code="unwritable_file",
        )
    return path


def numbered(path: Path, count: int) -> list[Path]:
    """Returns a path for each picture: ``out.png``, or ``out-1.png``, ``out-2.png`` and so on."""
    if count == 1:
        return [path]
    return [path.with_stem(f"{path.stem}-{number}") for number in range(1, count + 1)]


def write(path: Path, content: bytes) -> None:
    """Writes a complete file or leaves the old one.

    Raises:
        AnatomendError: ``unwritable_file``.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise AnatomendError(f"cannot write {path}: {error.strerror}", code="unwritable_file") from error
