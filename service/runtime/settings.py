"""Settings, read once from the environment and passed down. Importing this module has no effects."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.core.errors import InvalidSettings

BUNDLED, STUB, AUTO = "bundled", "stub", "auto"
MODELS_DIR = Path(__file__).resolve().parents[2] / "models"
PREFIX = "ANATOMEND_"
OF_THE_CLIENT = frozenset({"ANATOMEND_SERVER", "ANATOMEND_KEY"})
"""Variables of the command line for finding a service; they are not settings of the service."""
_HOST = re.compile(r"[\w.-]+|\[[0-9a-fA-F:.]+\]")


class Settings(BaseSettings):
    """All settings of an operator, as ``ANATOMEND_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", protected_namespaces=())

    model: str = Field(
        BUNDLED, description="bundled, a diffusers folder, a single file, a hub id, or stub (simulated)"
    )
    repair_model: str = Field(
        AUTO,
        description="the inpainting model, as for model; auto: the bundled inpainter for the bundled model, "
        "if there is one, else the model itself; the model itself if empty",
    )
    detector: str = Field(BUNDLED, description="bundled, or an ultralytics .pt file")
    critic: str = Field(BUNDLED, description="bundled, a critic folder, or none")
    models_dir: Path = Field(MODELS_DIR, description="folder of the bundled models")
    data_dir: Path = Field(Path("data"), description="folder of pictures and reports")
    store_url: str = Field(
        "", description="store of pictures: s3://bucket/prefix?endpoint=…; data_dir if empty"
    )
    embed_report: bool = Field(True, description="write the report into the PNG of each picture made")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="precision of a UNet on the CPU; auto: bfloat16 if the processor supports it"
    )
    batch_memory_mb: int = Field(
        2048, ge=1, description="estimated memory limit of a batch of pictures; larger batches are split"
    )
    threads: int = Field(0, ge=0, description="torch threads on the CPU; 0 = torch's default")
    max_side_px: int = Field(2048, ge=64, description="largest width or height to generate")
    max_upload_mb: int = Field(20, ge=1, description="largest upload")
    max_upload_megapixels: int = Field(16, ge=1, description="largest uploaded picture")
    database_url: str = Field("", description="SQLAlchemy URL; SQLite in data_dir if empty")
    sync_wait_s: float = Field(60, gt=0, description="seconds that a call waits before it is answered 202")
    drain_s: float = Field(30, ge=0, description="seconds that a running job may take when the service stops")
    stall_s: float = Field(
        300,
        gt=0,
        description="seconds without a step, an attempt or a decode until a worker is killed as stuck",
    )
    worker_start_s: float = Field(
        900, gt=0, description="seconds without a worker with loaded models until /livez answers 503"
    )
    queue_jobs: int = Field(1000, ge=1, description="maximum number of queued jobs")
    queue_jobs_per_key: int = Field(1000, ge=1, description="maximum number of queued jobs of each key")
    queue_megapixel_steps: float = Field(20_000, gt=0, description="most pixels times steps in the queue")
    job_megapixel_steps: float = Field(10_000, gt=0, description="most pixels times steps of one job")
    job_time_limit_s: float = Field(1800, ge=0, description="maximum run time of one job; 0 = no limit")
    require_keys: bool = Field(False, description="refuse requests without a key, even while no key exists")
    allow_open: bool = Field(False, description="let all who reach the service use it without a key")
    cors_origins: str = Field("", description="origins of allowed pages, as https://a,https://b")
    allowed_hosts: str = Field(
        "",
        description="accepted host names of the service, as a.example,b.example; * = all. This machine's "
        "own are always accepted; without keys no others are",
    )
    keep_days: float = Field(0, ge=0, description="days to keep finished jobs and pictures; 0 = for ever")
    keep_gb: float = Field(0, ge=0, description="maximum size of all pictures; 0 = no limit")
    log_format: Literal["text", "json"] = Field("text", description="text, or json: one object per line")
    otlp_endpoint: str = Field("", description="URL for traces (OTLP over HTTP); none are sent if empty")
    stub_step_ms: float = Field(0, ge=0, description="duration of a denoising step of the simulated model")

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: str) -> str:
        for origin in _split(value):
            url = urlsplit(origin)
            if origin != "*" and (
                url.scheme not in ("http", "https") or origin != f"{url.scheme}://{url.netloc}"
            ):
                raise ValueError(
                    f"{origin!r} is no origin: https://name or https://name:port, without a path"
                )
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, value: str) -> str:
        for name in _split(value):
            if name != "*" and not _HOST.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a host: a.example or 192.0.2.1, without a port")
        return value

    @field_validator("otlp_endpoint")
    @classmethod
    def _check_endpoint(cls, value: str) -> str:
        url = urlsplit(value)
        if value and (url.scheme not in ("http", "https") or not url.hostname):
            raise ValueError("not an http(s) address")
        return value

    @property
    def host_names(self) -> tuple[str, ...]:
        """The accepted host names of the service, besides this machine's own; ``*`` for all."""
        return tuple(name.lower().strip("[]") for name in _split(self.allowed_hosts))

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """The origins of pages whose requests are allowed; ``*`` for all."""
        return _split(self.cors_origins)


def read_settings() -> Settings:
    """Reads the settings from the environment.

    Raises:
        InvalidSettings: naming each invalid variable, with the reason.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"{PREFIX}{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}"
            for item in error.errors()
        )
        raise InvalidSettings(wrong) from None


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Returns variables with the prefix of settings that name none: most likely misspelt."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | OF_THE_CLIENT
    return sorted(
        name for name in environment if name.upper().startswith(PREFIX) and name.upper() not in known
    )


def _split(value: str) -> tuple[str, ...]:
    return tuple(part for part in (one.strip() for one in value.split(",")) if part)
