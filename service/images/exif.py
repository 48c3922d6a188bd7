"""The one thing that is wanted from EXIF: which way is up."""

from __future__ import annotations

import struct

UPRIGHT = 1
_ORIENTATION_TAG = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12
# The first directory of a camera's file has a few dozen entries.
_MAX_ENTRIES = 1000


def orientation_of(exif: bytes) -> int:
    """The orientation, 1 to 8, in a TIFF block; 1 where it is not said or the block cannot be read.

    Only the entries of the first directory are looked at: nothing that they point to is followed.
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
    except struct.error:  # cut short; a broken note on how to hold a picture does not spoil it
        return UPRIGHT
    return UPRIGHT
