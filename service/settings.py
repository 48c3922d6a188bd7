"""Settings, read once from the environment and passed down. Nothing happens at import."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.errors import InvalidSettings

BUNDLED, STUB = "bundled", "stub"
MODELS_DIR = Path(__file__).resolve().parent.parent / "models"


class Settings(BaseSettings):
    """Everything an operator can set, by ``ANATOMEND_<NAME>``."""

    model_config = SettingsConfigDict(
        env_prefix="ANATOMEND_", frozen=True, extra="ignore", protected_namespaces=()
    )

    model: str = Field(
        BUNDLED, description="bundled, a diffusers folder, a single file, a hub id, or stub (simulated)"
    )
    detector: str = Field(BUNDLED, description="bundled, or an ultralytics .pt file")
    critic: str = Field(BUNDLED, description="bundled, a critic folder, or none")
    models_dir: Path = Field(MODELS_DIR, description="where the bundled models lie")
    data_dir: Path = Field(Path("data"), description="where pictures and reports are stored")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    threads: int = Field(0, ge=0, description="torch threads on the CPU; 0 = torch's own choice")
    max_side_px: int = Field(2048, ge=64, description="largest width or height to generate")
    max_upload_mb: int = Field(20, ge=1, description="largest upload")
    max_upload_megapixels: int = Field(16, ge=1, description="largest uploaded picture")
    database_url: str = Field("", description="SQLAlchemy address; SQLite in data_dir if empty")
    sync_wait_s: float = Field(60, gt=0, description="how long a call waits before it is answered 202")
    drain_s: float = Field(30, ge=0, description="how long a running job may take when the service stops")
    queue_jobs: int = Field(1000, ge=1, description="jobs that may wait")
    queue_jobs_per_key: int = Field(1000, ge=1, description="jobs that may wait for each key")
    queue_megapixel_steps: float = Field(20_000, gt=0, description="pixels times steps that may wait")
    stub_step_ms: float = Field(0, ge=0, description="what a denoising step of the simulated model takes")


def read_settings() -> Settings:
    """Reads the environment.

    Raises:
        InvalidSettings: naming each variable that cannot be used, and why.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"ANATOMEND_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}"
            for item in error.errors()
        )
        raise InvalidSettings(wrong) from None
