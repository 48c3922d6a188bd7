"""Access to ultralytics; the only module that imports it."""

from __future__ import annotations

import os
from typing import Any

from torch import nn

BACKBONE_CHANNELS = 256
"""Number of output channels of ``image_backbone``, at 1/32 of the input's size."""

BACKBONE_LAYERS = 11
"""Of a YOLO26 detector: what comes after is its neck, in which layers have several inputs."""


def import_yolo() -> Any:
    """Imports ultralytics' model class, with telemetry, downloads and self-installation off."""
    had_omp = "OMP_NUM_THREADS" in os.environ
    for name, value in {
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "false",
        "ULTRALYTICS_SAFE_LOAD": "true",
    }.items():
        os.environ.setdefault(name, value)
    from ultralytics import YOLO

    if not had_omp:  # the import sets it to 1, which every process started from here would inherit
        os.environ.pop("OMP_NUM_THREADS", None)
    return YOLO


def image_backbone() -> nn.Sequential:
    """Builds the untrained backbone of YOLO26-n's image classifier; its input is (N, 3, H, W) in [0, 1]."""
    import_yolo()
    from ultralytics.nn.tasks import ClassificationModel

    return nn.Sequential(*list(ClassificationModel("yolo26n-cls.yaml", nc=1, verbose=False).model)[:-1])


def stage_backbone(size: str) -> nn.ModuleList:
    """The layers of YOLO26's detector up to its neck, untrained: each takes what the one before gives out.

    Args:
        size: ``n``, ``s``, ``m``, ``l``.
    """
    import_yolo()
    from ultralytics.nn.tasks import DetectionModel

    network = DetectionModel(f"yolo26{size}.yaml", nc=1, verbose=False).model
    return nn.ModuleList(list(network)[:BACKBONE_LAYERS])


def trainable(path: str) -> nn.Module:
    """A detection network with its weights in float32 and the library's own loss (``loss(batch)``)."""
    network: nn.Module = import_yolo()(path, task="detect", verbose=False).model.float()
    from ultralytics.cfg import get_cfg

    network.args = get_cfg()
    return network.requires_grad_(True)
