"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest
import torch

from tests.tiny import build_tiny_models

# The machine may be busy, so no example has a deadline; and a test that fails must fail again.
hypothesis.settings.register_profile("anatomend", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("anatomend")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny models gain nothing from threads, and threads that wait for a busy core lose a lot."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as ``models/`` is, with a generator, detector and critic of random weights."""
    return build_tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def tiny_model(tiny_models_dir: Path):
    """The loaded ``DiffusionModel`` of ``tiny_models_dir``."""
    from service.diffusion.loading import load_diffusion

    return load_diffusion("bundled", tiny_models_dir, "cpu")
