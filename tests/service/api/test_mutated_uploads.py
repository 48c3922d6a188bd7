from __future__ import annotations

from collections import Counter

import pytest

from tests.service.api.mutations import mutated, seeds
from tests.service.api.resources import WatchHook


def _post_all(client, count: int) -> Counter[int]:
    """Posts so many files; none may be answered by a 5xx, take long or take much."""
    for content in seeds():
        assert client.post("/detect", files={"image": content}).status_code == 200
    statuses: Counter[int] = Counter()
    with WatchHook() as watch:
        for number, content in enumerate(mutated(count)):
            response = watch.timed(client.post, "/detect", files={"image": content})
            assert response.status_code in {200, 413, 415, 422}, f"file {number}: {response.text}"
            assert response.status_code == 200 or response.json()["code"], f"file {number}"
            statuses[response.status_code] += 1
    watch.check()
    assert min(statuses[200], statuses[422]) > count / 10, "either all is refused or nothing is tested"
    return statuses


def test_200_mutated_files(client):
    _post_all(client, 200)


@pytest.mark.slow
def test_2000_mutated_files(client):
    _post_all(client, 2000)
