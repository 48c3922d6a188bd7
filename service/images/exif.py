"""The orientation from EXIF, the only entry that is needed."""

from __future__ import annotations

import struct

UPRIGHT = 1
_ORIENTATION_TAG = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12
# The first directory of a camera's file has a few dozen entries.
_MAX_ENTRIES = 1000


def orientation_of(exif: bytes) -> int:
    """Returns the orientation, 1 to 8, in a TIFF block; 1 if it is missing or the block cannot be read.

    Only the entries of the first directory are read: none of their pointers is followed.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, at)
        for index in range(min(entries, _MAX_ENTRIES)):
            entry = struct.unpack_from(f"{order}HHIH", tiff, at + 2 + index * _ENTRY_BYTES)
            if entry[:3] == (_ORIENTATION_TAG, _SHORT, 1):
                return int(entry[3]) if 1 <= entry[3] <= 8 else UPRIGHT
    except struct.error:  # truncated; a damaged orientation does not spoil the picture
        return UPRIGHT
    return UPRIGHT
