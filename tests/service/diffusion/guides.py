"""Detectors and guides of known behaviour."""

from __future__ import annotations

import torch

from detectors.detections import Detections

NAMES = ("hand", "malformed_hand")


class ScriptedDetector:
    """Sees one hand; how malformed, by look, is written beforehand."""

    model_id = "scripted@1"
    class_names = NAMES
    default_conf = dict.fromkeys(NAMES, 0.4)

    def __init__(self, *confs, box_share=(0.25, 0.25, 0.5, 0.5)):
        self.confs, self.box_share, self.images = list(confs), box_share, []

    def detect(self, images, conf):
        (image,) = images
        self.images.append(image)
        height, width = image.shape[:2]
        box = [share * side for share, side in zip(self.box_share, (width, height) * 2, strict=True)]
        seen = self.confs.pop(0) if self.confs else 0.0
        return [Detections.of([box, box], [seen, 0.9], [1, 0])]


class DarkGuide:
    """Takes brightness in the region for the defect."""

    def __init__(self):
        self.asked = []

    def defect_energy(self, image, xyxy):
        self.asked.append((tuple(image.shape), xyxy))
        x1, y1, x2, y2 = (round(value) for value in xyxy)
        return image[..., y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)].mean((1, 2, 3))


class PresentDarkGuide(DarkGuide):
    """The same, but what is dark is not there."""

    def defect_and_presence(self, image, xyxy):
        energy = self.defect_energy(image, xyxy)
        return energy, 10 * energy


class LinearLatents:
    """A preview that shows the first three channels, one pixel for each cell."""

    kind, cell_px = "linear", 1

    def __init__(self):
        self.decoded = []

    def decode(self, x0):
        self.decoded.append(tuple(x0.shape))
        return torch.sigmoid(x0[:, :3].float())
