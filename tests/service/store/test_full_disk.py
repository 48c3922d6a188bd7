from __future__ import annotations

import errno
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from service.core.errors import StorageFull
from service.store.images import ImageStore


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.mkdir", "pathlib.Path.replace"])
def test_no_room_is_a_refusal_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
):
    store = ImageStore(tmp_path)
    before = store.put(b"before")

    def full(*_: object, **__: object) -> None:
        raise OSError(number, "no room")

    with monkeypatch.context() as patched:
        patched.setattr(call, full)
        with pytest.raises(StorageFull) as caught:
            store.put(b"after")
    assert (caught.value.code, caught.value.exit_code) == ("storage_full", 1)
    assert caught.value.allowed
    assert [path.stem for path in tmp_path.rglob("*") if path.is_file()] == [before]
    assert store.get(before) == b"before"
    assert store.get(store.put(b"after")) == b"after"


def test_another_failure_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="broken"):
        ImageStore(tmp_path).put(b"x")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_file_that_the_system_cuts_short(tmp_path: Path):
    """The limit is the process's own, so it is another process that writes."""
    script = f"""
        import resource
        from pathlib import Path
        from service.core.errors import StorageFull
        from service.store.images import ImageStore

        store = ImageStore(Path({str(tmp_path)!r}))
        small = store.put(b"small")
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, {resource.RLIM_INFINITY}))
        try:
            store.put(bytes(100_000))
        except StorageFull:
            assert store.get(small) == b"small"
            print("full", *(entry.sha256 == small for entry in store.entries()))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == ["full", "True"], done.stderr
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_a_disk_that_fills_up(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip("a disk may not be mounted here")
    try:
        store = ImageStore(disk)
        kept = {}
        with pytest.raises(StorageFull):
            for number in range(100):
                content = bytes([number]) * 10_000
                kept[store.put(content)] = content
        assert 10 < len(kept) < 30
        assert {entry.sha256: store.get(entry.sha256) for entry in store.entries()} == kept
        store.delete(next(iter(kept)))
        store.put(b"fits again")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
