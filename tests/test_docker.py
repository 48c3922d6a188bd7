"""Tests what lies in docker/ fits the program."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from service.api.metrics import Metrics
from service.jobs.executors import InlineExecutor
from service.jobs.job_service import JobService
from service.runtime.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
DOCKER = ROOT / "docker"


def test_the_dashboard_asks_for_metrics_that_there_are(tmp_path: Path):
    settings = Settings(data_dir=tmp_path, model="stub")
    job_service = JobService(settings, InlineExecutor(settings))
    job_service.database.migrate()
    told = Metrics(job_service, "1").told().decode()
    job_service.database.close()
    there = set(re.findall(r"^# TYPE (\w+)", told, re.MULTILINE)) | {"anatomend_gpu_memory_bytes"}
    panels = json.loads((DOCKER / "grafana" / "anatomend.json").read_text())["panels"]
    asked = {
        name
        for panel in panels
        for target in panel["targets"]
        for name in re.findall(r"\b(?:anatomend|process)_\w+", target["expr"])
    }
    assert len(asked) > 10
    assert {name.removesuffix("_bucket").removesuffix("_count") for name in asked} <= there


@pytest.mark.parametrize("path", sorted(DOCKER.glob("compose*.yml")), ids=lambda path: path.name)
def test_compose_publishes_on_this_machine_only_and_names_settings(path: Path):
    services = yaml.safe_load(path.read_text())["services"]
    known = {f"ANATOMEND_{name.upper()}" for name in Settings.model_fields}
    for service in services.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        names = {name for name in service.get("environment", ()) if name.startswith("ANATOMEND_")}
        assert names <= known


@pytest.mark.parametrize(
    "path", [ROOT / "Dockerfile", DOCKER / "Dockerfile.cuda"], ids=lambda path: path.name
)
def test_images_set_what_there_is_and_run_as_nobody_special(path: Path):
    text = path.read_text()
    known = {f"ANATOMEND_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"(ANATOMEND_\w+)=", text)) <= known
    assert re.search(r"^USER anatomend$", text, re.MULTILINE)
    check = text[text.index("HEALTHCHECK") :]
    assert "/startupz" in check
    assert "/livez" in check, "or a service that can bring up no worker is never started again"


def test_prometheus_asks_by_a_name_that_the_service_has():
    targets = yaml.safe_load((DOCKER / "prometheus.yml").read_text())["scrape_configs"][0]["static_configs"]
    names = {target.partition(":")[0] for entry in targets for target in entry["targets"]}
    compose = yaml.safe_load((DOCKER / "compose.metrics.yml").read_text())["services"]["anatomend"]
    given = compose["environment"]["ANATOMEND_ALLOWED_HOSTS"].partition(",")[0]
    assert names == {given}
