from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest

from service.jobs.gpu import gpu_memory
from service.jobs.leases import living_workers
from service.jobs.worker import Worker
from service.runtime.settings import Settings
from tests.service.scripted import ScriptedEngine


def card(**cuda: object) -> SimpleNamespace:
    return SimpleNamespace(
        cuda=SimpleNamespace(
            is_initialized=lambda: True,
            device_count=lambda: 1,
            memory_allocated=lambda index: 2,
            memory_reserved=lambda index: 3,
            **{"mem_get_info": lambda index: (4, 8), **cuda},
        )
    )


def test_a_cards_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", card())
    assert gpu_memory() == (
        {"device": "cuda:0", "total_bytes": 8, "used_bytes": 4, "allocated_bytes": 2, "reserved_bytes": 3},
    )


def test_a_card_that_fails_takes_nobody_along(monkeypatch: pytest.MonkeyPatch, caplog):
    def broken(index: int) -> None:
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setitem(sys.modules, "torch", card(mem_get_info=broken))
    assert gpu_memory() == ()
    assert "illegal memory access" in caplog.text


def test_no_card(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert gpu_memory() == ()


def test_a_worker_lives_while_torch_is_imported_by_half(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setattr("service.jobs.worker.LEASE_S", 0.15)
    settings = Settings(data_dir=tmp_path)
    seen: list[float] = []

    def load(_: Settings) -> ScriptedEngine:
        with monkeypatch.context() as half:
            half.setitem(sys.modules, "torch", SimpleNamespace())
            for _ in range(2):
                time.sleep(0.2)
                seen.append(living_workers(worker._database)[0].seen_at)
        worker.stop()
        return ScriptedEngine()

    worker = Worker(settings, load)
    worker._database.migrate()
    worker.run()
    assert seen[1] > seen[0]
