"""Environment of the libraries: no telemetry, no unwanted code, no busy waiting on idle cores."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from service.runtime.settings import AUTO, BUNDLED, STUB, Settings

_DEFAULTS = {
    # ultralytics: no DNS probe at import, and with it no analytics, crash reports or update check
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    # a .pt file is a pickle: load tensors and known classes only
    "ULTRALYTICS_SAFE_LOAD": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "DO_NOT_TRACK": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    # OpenMP's threads burn a core while they wait, and containers share cores: beside any other load a
    # repair took six times as long. After this many spins they sleep, at no cost on an idle machine.
    "GOMP_SPINCOUNT": "10000",
}


def set_library_env(settings: Settings) -> None:
    """Sets this process's environment; must be called before the import of a model library, which reads it.

    Variables that the operator has set stay. If all models are local files, the hub is switched off as well.
    A single file is the exception: the library may need that family's configuration from the hub.
    """
    defaults = dict(_DEFAULTS)
    # A directory of its own, since the user's ultralytics settings may differ.
    defaults["YOLO_CONFIG_DIR"] = str(_cache_dir())
    if all(_needs_no_hub(model) for model in (settings.model, settings.repair_model)):
        defaults["HF_HUB_OFFLINE"] = "1"
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def _needs_no_hub(model: str) -> bool:
    return model in ("", AUTO, BUNDLED, STUB) or Path(model).expanduser().is_dir()


def _cache_dir() -> Path:
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home, as in some containers
        base = Path(tempfile.gettempdir())
    return base / "anatomend"
