from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store.images import ImageStore, Stored
from service.store.retention import Removed, Retention, expired, sweep

NOW_S = 1_000_000.0
THREE = [Stored("c", 30, NOW_S - 10), Stored("a", 10, NOW_S - 1000), Stored("b", 20, NOW_S - 100)]


@pytest.mark.parametrize(
    ("retention", "pinned", "names"),
    [
        (Retention(grace_s=0), (), ""),
        (Retention(max_age_s=50, grace_s=0), (), "ab"),
        (Retention(max_age_s=50, grace_s=200), (), "a"),
        (Retention(max_age_s=50, grace_s=0), "a", "b"),
        (Retention(max_bytes=60, grace_s=0), (), ""),
        (Retention(max_bytes=59, grace_s=0), (), "a"),
        (Retention(max_bytes=49, grace_s=0), (), "ab"),
        (Retention(max_bytes=49, grace_s=0), "a", "b"),
        (Retention(max_bytes=0, grace_s=0), "b", "ac"),
        (Retention(max_bytes=0), (), ""),
        (Retention(max_age_s=500, max_bytes=40, grace_s=0), (), "ab"),
    ],
)
def test_the_oldest_go_first(retention: Retention, pinned: str, names: str):
    assert [entry.sha256 for entry in expired(THREE, retention, pinned, NOW_S)] == list(names)


@given(
    st.lists(
        st.builds(Stored, st.text("abc", min_size=5, max_size=5), st.integers(0, 99), st.floats(0, NOW_S)),
        unique_by=lambda entry: entry.sha256,
    ),
    st.none() | st.floats(0, NOW_S),
    st.none() | st.integers(0, 500),
    st.data(),
)
def test_limits_are_kept_and_pins_respected(stored, max_age_s, max_bytes, data):
    pinned = data.draw(st.sets(st.sampled_from([entry.sha256 for entry in stored]))) if stored else set()
    retention = Retention(max_age_s, max_bytes, grace_s=1)
    gone = expired(stored, retention, pinned, NOW_S)
    stays = [entry for entry in stored if entry not in gone]
    assert not pinned & {entry.sha256 for entry in gone}
    free = [entry for entry in stays if entry.sha256 not in pinned and NOW_S - entry.modified_s >= 1]
    if max_age_s is not None:
        assert all(NOW_S - entry.modified_s <= max_age_s for entry in free)
    if max_bytes is not None and free:
        assert sum(entry.size_bytes for entry in stays) <= max_bytes


def test_sweeping_a_store(tmp_path: Path):
    store = ImageStore(tmp_path)
    old, pinned, young = (store.put(content) for content in (b"old", b"pinned", b"young"))
    leftover = tmp_path / old[:2] / ".x.part"
    leftover.write_bytes(b"half")
    long_ago_s = time.time() - 100_000
    for path in (*(tmp_path / name[:2] / f"{name}.png" for name in (old, pinned)), leftover):
        os.utime(path, (long_ago_s, long_ago_s))
    assert sweep(store, Retention(max_age_s=50_000), {pinned}) == Removed(1, 3)
    assert {entry.sha256 for entry in store.entries()} == {pinned, young}
    assert not leftover.exists()
    assert sweep(store, Retention(max_bytes=0), set()) == Removed(1, 6)
    assert store.exists(young)
