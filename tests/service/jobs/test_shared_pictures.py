from __future__ import annotations

import threading
import time

from sqlalchemy import insert

from service.core.job_state import JobKind, JobState
from service.database.schema import image_owners
from service.jobs.picture_owners import owns_image
from service.jobs.records import NewJob

PICTURE = "a" * 64


def test_two_workers_may_make_one_picture_at_once(database, queue, leases):
    job, _ = queue.submit(NewJob(kind=JobKind.GENERATE, request={}, cost=1.0, owner="ann"))
    lease = leases("b").claim()
    second = threading.Thread(target=lambda: leases("b").succeed(lease, {"images": []}, [PICTURE]))
    with database.write() as connection:  # the first worker is at the end of its job
        connection.execute(insert(image_owners).values(sha256=PICTURE, owner="ann", created_at=0.0))
        second.start()
        time.sleep(0.3)
        assert queue.get(job.id).state is JobState.RUNNING
    second.join()
    assert queue.get(job.id).state is JobState.SUCCEEDED
    assert owns_image(database, PICTURE, "ann")
