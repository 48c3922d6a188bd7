"""The critic: a small classifier that scores the crop of one body part as malformed or not.

``critic_crop`` cuts the crop, for training and for inference. The configuration says which network it is:
one output for all parts (``CriticNet``), or one for hands and one for limbs (``detectors.stage_net``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from detectors.detections import Image
from detectors.protocols import ModelLoadError
from detectors.stage_net import PARTS, TwoEyedNet
from detectors.yolo_library import BACKBONE_CHANNELS, image_backbone

BATCH_CROPS = 16
"""A crowd has many hands; their crops in one batch would want gigabytes."""
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"


@dataclass(frozen=True, slots=True)
class CriticConfig:
    """The configuration stored beside the weights.

    Attributes:
        input_px: side of the network's square input, in pixels.
        context: side of the crop as a multiple of the box's longer side.
        threshold: least probability at which a crop counts as malformed.
        shifts: offset subtracted from the logit, by body part, so that one threshold serves all parts.
        backbone: size of the second network's YOLO26 (``n``, ``s``, ``m``); empty without a second one.
    """

    input_px: int = 160
    context: float = 1.25
    threshold: float = 0.5
    shifts: Mapping[str, float] = field(default_factory=dict)
    backbone: str = ""


class CriticNet(nn.Module):
    """The backbone of YOLO26-n, global average pooling, and one output: the logit of "malformed"."""

    def __init__(self) -> None:
        super().__init__()
        self.features = image_backbone()
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(BACKBONE_CHANNELS, 1)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Maps pixels (N, 3, H, W) in [-1, 1] to logits (N, 1)."""
        logits: Tensor = self.head(self.features(pixels * 0.5 + 0.5))
        return logits


def critic_crop(image: Image, xyxy: ArrayLike, input_px: int = 160, context: float = 1.25) -> Image:
    """Cuts a square around a box and scales it to the network's input.

    Outside the image, the edge pixels are repeated.

    Args:
        image: uint8 RGB (H, W, 3).
        xyxy: box of the part, four numbers, in pixels.
        input_px: side of the result.
        context: side of the square as a multiple of the box's longer side.

    Returns:
        uint8 RGB (input_px, input_px, 3).
    """
    x1, y1, x2, y2 = (float(value) for value in np.asarray(xyxy, np.float64).reshape(4))
    side = max(1, round(max(x2 - x1, y2 - y1) * context))
    left, top = round((x1 + x2 - side) / 2), round((y1 + y2 - side) / 2)
    height, width = image.shape[:2]
    inner_x1, inner_y1 = (int(np.clip(v, 0, n - 1)) for v, n in ((left, width), (top, height)))
    inner_x2 = max(inner_x1 + 1, min(left + side, width))
    inner_y2 = max(inner_y1 + 1, min(top + side, height))
    square = cv2.copyMakeBorder(
        image[inner_y1:inner_y2, inner_x1:inner_x2],
        max(0, inner_y1 - top),
        max(0, top + side - inner_y2),
        max(0, inner_x1 - left),
        max(0, left + side - inner_x2),
        cv2.BORDER_REPLICATE,
    )
    way = cv2.INTER_AREA if side > input_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (input_px, input_px), interpolation=way), np.uint8)


def soft_crop(image: Tensor, xyxy: Sequence[float], input_px: int, context: float) -> Tensor:
    """Cuts the same square as ``critic_crop`` from tensors, differentiably.

    Args:
        image: float (B, 3, H, W) in [0, 1].
        xyxy: the part's box in pixels of ``image``, the same for all of the batch.
        input_px: side of the result.
        context: side of the square as a multiple of the box's longer side.

    Returns:
        float32 (B, 3, input_px, input_px) in [0, 1].
    """
    (x1, y1, x2, y2), (height, width) = xyxy, image.shape[2:]
    side = max(1.0, max(x2 - x1, y2 - y1) * context)
    scale_x, scale_y = side / width, side / height
    centre_x, centre_y = (x1 + x2) / width - 1, (y1 + y2) / height - 1
    theta = torch.tensor([[[scale_x, 0.0, centre_x], [0.0, scale_y, centre_y]]], device=image.device)
    size = [len(image), image.shape[1], input_px, input_px]
    grid = F.affine_grid(theta.expand(len(image), -1, -1), size, align_corners=False)
    return F.grid_sample(image.float(), grid, padding_mode="border", align_corners=False)


def to_input(crops: Sequence[Image]) -> Tensor:
    """Converts crops of one size to the network's input: float32 (N, 3, H, W) in [-1, 1]."""
    stacked = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()
    return stacked / 127.5 - 1.0


def probabilities(logits: Tensor, parts: Sequence[str], shifts: Mapping[str, float]) -> list[float]:
    """Converts the logits (N,) of crops to probabilities in [0, 1], each shifted by its part's offset."""
    shift = torch.tensor([shifts.get(part, 0.0) for part in parts], device=logits.device)
    return [float(p) for p in torch.sigmoid(logits - shift).cpu()]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads the tensors of a safetensors file; floating-point ones are converted to float32."""
    return {name: t.float() if t.is_floating_point() else t for name, t in load_file(path).items()}


class CropCritic:
    """A ``Critic`` around one trained network."""

    def __init__(self, net: nn.Module, config: CriticConfig, model_id: str, device: str = "cpu") -> None:
        self._net = net.eval().requires_grad_(False).to(device)
        self._device = device
        self.config = config
        self.model_id = model_id

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> CropCritic:
        """Loads ``config.json`` and ``model.safetensors`` (any floating-point type; runs as float32).

        Raises:
            ModelLoadError: one of the files is missing or does not fit.
        """
        weights = folder / WEIGHTS_FILE
        try:
            config = CriticConfig(**json.loads((folder / CONFIG_FILE).read_text("utf-8")))
            net = TwoEyedNet(CriticNet(), config.backbone) if config.backbone else CriticNet()
            net.load_state_dict(read_weights(weights))
        except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
            raise ModelLoadError(f"no usable critic in {folder}: {error}") from error
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
        return cls(net, config, f"{folder.resolve().name}@{digest}", device)

    @property
    def threshold(self) -> float:
        """Least probability, in (0, 1), at which a crop counts as malformed."""
        return self.config.threshold

    def crop(self, image: Image, xyxy: ArrayLike) -> Image:
        """Cuts one part as in this critic's training (see ``critic_crop``): uint8 RGB."""
        return critic_crop(image, xyxy, self.config.input_px, self.config.context)

    def defect_energy(self, image: Tensor, xyxy: tuple[float, float, float, float]) -> Tensor:
        """Returns the logit of "malformed", differentiable (see ``DifferentiableDetector``): float32 (B,)."""
        crops = soft_crop(image.to(self._device), xyxy, self.config.input_px, self.config.context)
        logits: Tensor = self._net(crops * 2 - 1)
        return logits[:, 0]  # of a hand, where hands and limbs have outputs of their own

    @torch.inference_mode()
    def malformed(self, crops: Sequence[Image], parts: Sequence[str]) -> list[float]:
        """Returns the probability in [0, 1] that each crop (as ``crop`` cuts it) shows a malformed part."""
        if not crops:
            return []
        starts = range(0, len(crops), BATCH_CROPS)
        batches = (to_input(crops[at : at + BATCH_CROPS]).to(self._device) for at in starts)
        logits = torch.cat([self._net(batch) for batch in batches])
        columns = [PARTS.index(part) if part in PARTS[: logits.shape[1]] else 0 for part in parts]
        own = logits[torch.arange(len(columns)), torch.tensor(columns)]
        return probabilities(own, parts, self.config.shifts)
