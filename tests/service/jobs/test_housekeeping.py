from __future__ import annotations

import os
import time
from pathlib import Path

from service.core.job_state import JobKind
from service.database.connect import Database
from service.jobs.housekeeping import Forgotten, Housekeeping
from service.jobs.leases import Leases
from service.jobs.picture_owners import keep_feedback, owns_image
from service.jobs.queue import JobQueue
from service.jobs.records import NewJob, QueueLimits
from service.runtime.settings import Settings
from service.store.images import ImageStore

DAY_S = 86_400.0


class House:
    """A database and two stores in which everything can be made older."""

    def __init__(self, folder: Path, **settings: float) -> None:
        self.folder = folder
        self.settings = Settings(data_dir=folder, **settings)  # type: ignore[arg-type]
        self.database = Database.of(self.settings)
        self.database.migrate()
        self.images, self.inputs = ImageStore(folder / "images"), ImageStore(folder / "inputs")
        self.queue = JobQueue(self.database, QueueLimits(cost=100, jobs=100, jobs_per_owner=100))
        self.keeping = Housekeeping(self.settings, self.database, self.images, self.inputs)

    def job(self, done: bool = True, content: bytes = b"made") -> tuple[str, str, str]:
        """A job with an upload and, if it is done, a picture: their three names."""
        upload = self.inputs.put(b"upload for " + content)
        job, _ = self.queue.submit(
            NewJob(kind=JobKind.REPAIR, request={}, cost=1.0, owner="ada", inputs={"image": upload})
        )
        made = self.images.put(content)
        if done:
            leases = Leases(self.database, "worker")
            lease = leases.claim()
            assert lease is not None
            leases.succeed(lease, {"images": []}, [made])
        return job.id, upload, made

    def age(self, days: float) -> None:
        """Makes all that is there so much older."""
        then = time.time() - days * DAY_S
        for path in self.folder.rglob("*.png"):
            os.utime(path, (then, then))
        with self.database.write() as connection:
            for table, column in (("jobs", "finished_at"), ("image_owners", "created_at")):
                connection.exec_driver_sql(f"UPDATE {table} SET {column} = {column} - {days * DAY_S}")


def test_by_default_nothing_is_ever_given_up(tmp_path: Path):
    house = House(tmp_path)
    assert not house.keeping.is_wanted
    job, upload, made = house.job()
    house.age(1000)
    assert house.keeping.tidy() == Forgotten(0, 0, 0)
    assert (house.queue.get(job).id, house.inputs.exists(upload), house.images.exists(made)) == (
        job,
        True,
        True,
    )


def test_what_is_too_old_goes_with_all_that_belongs_to_it(tmp_path: Path):
    house = House(tmp_path, keep_days=7)
    _, upload, made = house.job(content=b"old")
    house.age(8)
    young, _, _ = house.job(content=b"young")
    waiting, needed, _ = house.job(done=False, content=b"waiting")
    assert house.keeping.tidy() == Forgotten(1, 2, len(b"upload for old") + len(b"old"))
    assert not house.inputs.exists(upload)
    assert not house.images.exists(made)
    assert not owns_image(house.database, made, "ada")
    assert [job.id for job in house.queue.page(None, 10)] == [waiting, young]
    assert house.inputs.exists(needed)


def test_what_is_waited_for_or_was_judged_stays(tmp_path: Path):
    house = House(tmp_path, keep_days=7)
    _, _, made = house.job()
    keep_feedback(house.database, made, 0, "still_wrong", "ada")
    _, needed, _ = house.job(done=False, content=b"waiting")
    house.age(8)
    house.keeping.tidy()
    assert house.images.exists(made)
    assert owns_image(house.database, made, "ada")
    assert house.inputs.exists(needed)


def test_what_is_too_much_goes_oldest_first(tmp_path: Path):
    house = House(tmp_path, keep_gb=1e-6)
    _, _, old = house.job(content=b"a" * 900)
    house.age(2)
    _, _, new = house.job(content=b"b" * 900)
    house.age(1)
    house.keeping.tidy()
    assert not house.images.exists(old)
    assert house.images.exists(new)


def test_a_second_round_finds_nothing(tmp_path: Path):
    house = House(tmp_path, keep_days=7)
    house.job()
    house.age(8)
    assert [house.keeping.tidy().jobs for _ in range(2)] == [1, 0]
