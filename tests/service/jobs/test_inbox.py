"""Uploads of refused jobs go; those that others need stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.core.errors import StorageFull
from service.core.job_state import JobKind
from service.database.connect import Database
from service.jobs.inbox import Inbox
from service.jobs.queue import JobQueue
from service.jobs.records import NewJob
from service.store.images import ImageStore


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "inputs")


@pytest.fixture
def inbox(store: ImageStore, database: Database) -> Inbox:
    return Inbox(store, database)


def kept(store: ImageStore) -> set[str]:
    return {entry.sha256 for entry in store.entries()}


def test_the_files_of_a_refused_job_go(inbox: Inbox, store: ImageStore):
    names = inbox.put({"image": b"one", "mask": b"two"})
    assert kept(store) == set(names.values())
    inbox.drop(names)
    assert kept(store) == set()


def test_what_another_request_has_just_put_down_stays(inbox: Inbox, store: ImageStore):
    first, second = inbox.put({"image": b"one"}), inbox.put({"image": b"one"})
    inbox.drop(first)
    assert kept(store) == set(second.values())
    inbox.settle(second)
    inbox.drop(inbox.put({"image": b"one"}))
    assert kept(store) == set(second.values())


def test_the_last_of_several_that_are_refused_clears_up(inbox: Inbox, store: ImageStore):
    for names in [inbox.put({"image": b"one"}) for _ in range(3)]:
        inbox.drop(names)
    assert kept(store) == set()


def test_what_a_waiting_job_needs_stays(inbox: Inbox, store: ImageStore, queue: JobQueue):
    names = inbox.put({"image": b"one"})
    queue.submit(NewJob(kind=JobKind.REPAIR, request={}, cost=1.0, inputs=names))  # of another process, say
    inbox.drop(names)
    assert kept(store) == set(names.values())


def test_a_full_disk_leaves_neither_half(inbox: Inbox, store: ImageStore, monkeypatch: pytest.MonkeyPatch):
    put = ImageStore.put

    def full(self: ImageStore, content: bytes) -> str:
        if content == b"two":
            raise StorageFull("no room")
        return put(self, content)

    monkeypatch.setattr(ImageStore, "put", full)
    with pytest.raises(StorageFull):
        inbox.put({"image": b"one", "mask": b"two"})
    assert kept(store) == set()
