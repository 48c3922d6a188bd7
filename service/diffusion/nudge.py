"""Nudge: guidance of x0, inside a region, along a detector's gradient towards well-formed parts.

The gradient is taken at x0 and not through the denoiser, whose Jacobian is near the identity there. So a
nudge costs only a small decode and a detector pass. Universal guidance (Bansal et al., 2023) takes the
gradient through the denoiser; ``bench.nudge_controls`` compares with it and with a random direction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest

import torch
import torch.nn.functional as F
from torch import Tensor

from detectors.detections import Mask
from detectors.protocols import DifferentiableDetector, PresenceDetector
from service.core.params import NudgeParams
from service.diffusion.hooks import Step
from service.diffusion.latents import cells_around, mask_to_cells
from service.diffusion.memory_budget import BATCH_BYTES, fitting, weighed_graph
from service.diffusion.preview import Preview

BoxF = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class NudgeTuning:
    """Constants of the nudge, which requests cannot set.

    Attributes:
        jitter: largest shift and change of scale of the jittered views, as a share of the crop.
        clip: largest change of a cell, as a multiple of the RMS change; above 0.
        context: side of the decoded crop as a multiple of the region's longer side; 1 or more.
    """

    jitter: float = 0.04
    clip: float = 3.0
    context: float = 2.5

    def __post_init__(self) -> None:
        if self.clip <= 0.0 or self.context < 1.0:
            raise ValueError("clip must be above 0, context 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class NudgeStep:
    """The guide's scores for one nudge: means over the batch, on the plain view.

    Attributes:
        index: index of the step.
        strength: size of the nudge, as a multiple of the region's RMS.
        energies: the guide's defect energy before and after, for each picture of the batch.
        energy_before: mean defect energy before the nudge.
        energy_after: mean defect energy after the nudge.
        presence_before: mean energy for any part, before the nudge; None if the guide has none.
        presence_after: the same after the nudge.
    """

    index: int
    strength: float
    energies: tuple[tuple[float, float], ...]
    energy_before: float
    energy_after: float
    presence_before: float | None
    presence_after: float | None


class Nudge:
    """A hook that nudges one region, the same in all pictures of a batch.

    Attributes:
        steps: the nudges so far, in order.
    """

    def __init__(
        self,
        preview: Preview,
        guide: DifferentiableDetector,
        xyxy: BoxF,
        mask: Mask,
        params: NudgeParams | None = None,
        *,
        seed: int = 0,
        tuning: NudgeTuning | None = None,
        batch_bytes: int = BATCH_BYTES,
        before_call: Callable[[], None] = lambda: None,
    ) -> None:
        """Takes the region, the guide and the parameters.

        Args:
            preview: decodes x0, differentiably.
            guide: scores the malformation of the region. It should not be a model that judges the result.
            xyxy: the region, in pixels of the finished picture.
            mask: float32 (H, W) of that picture; latent cells in which it is 0 do not change.
            params: parameters of the nudge; the defaults if None.
            seed: seed of the jitter.
            tuning: constants of the nudge; the defaults if None.
            batch_bytes: memory limit for a gradient, in bytes; larger batches are split.
            before_call: called before each call of the guide; an exception from it ends the run.
        """
        self._preview = preview
        self._guide = guide
        self._xyxy = xyxy
        self._mask = mask
        self._params = params or NudgeParams()
        self._seed = seed
        self._tuning = tuning or NudgeTuning()
        self._batch_bytes = batch_bytes
        self._before_call = before_call
        self._at_once: int | None = None
        self._presence: Tensor | None = None
        self.steps: list[NudgeStep] = []

    def __call__(self, step: Step) -> Tensor | None:
        """Returns the nudged x0 in the window of steps, None outside it."""
        if step.index not in steps_within(step.total, self._params.window):
            return None
        weight = mask_to_cells(self._mask, (step.x0.shape[2], step.x0.shape[3])).to(step.x0.device)
        strength = self._strength(step.progress)
        before = self._look(step.x0) if self._at_once is not None else self._first_look(step.x0)
        self._presence = before[1] if self._presence is None else self._presence
        direction = unit_direction(self.gradient(step), weight, self._tuning.clip)
        size = strength * masked_rms(step.x0, weight)
        changed = torch.where(weight > 0, step.x0 - size * direction, step.x0)
        self._note(step.index, strength, before, self._look(changed))
        return changed

    @property
    def energies(self) -> list[tuple[float, float]]:
        """Defect energy of each picture of the batch before the first nudge and after the last."""
        first, last = self.steps[0].energies, self.steps[-1].energies
        return [(before, after) for (before, _), (_, after) in zip(first, last, strict=True)]

    def _strength(self, progress: float) -> float:
        start, end = self._params.window
        passed = min(max((progress - start) / (end - start), 0.0), 1.0) if end > start else 0.0
        first, last = self._params.strength
        return float(first * (last / first) ** passed)

    def gradient(self, step: Step) -> Tensor:
        """Returns the gradient of the loss with respect to x0, float32 of its shape."""
        at_once = self._at_once or len(step.x0)
        presences = () if self._presence is None else torch.split(self._presence, at_once)
        slopes = []
        for part, presence in zip_longest(torch.split(step.x0, at_once), presences):
            with torch.enable_grad():
                start = part.detach().clone().requires_grad_()
                loss = self.loss(start, presence, self.generator_of(step))
                slopes.append(torch.autograd.grad(loss, start)[0].float())
        return torch.cat(slopes)

    def generator_of(self, step: Step) -> torch.Generator:
        """Returns the step's own random generator, on the CPU."""
        return torch.Generator().manual_seed((self._seed << 16) + step.index)

    @property
    def presence(self) -> Tensor | None:
        """Presence of the part before the first nudge, (B,); None if the guide has no such score."""
        return self._presence

    def loss(self, latents: Tensor, presence_before: Tensor | None, generator: torch.Generator) -> Tensor:
        """Returns the guide's defect energy plus the penalty for a fading part, summed over the batch."""
        crop, region = self._crop(latents)
        looked = views(crop, self._params.copies, self._tuning.jitter, generator)
        asked = [self._ask(view, region) for view in looked]
        loss = torch.stack([energy for energy, _ in asked]).mean(0)
        presence = asked[0][1]  # of the plain view, like ``presence_before``
        if presence is not None and presence_before is not None:
            loss = loss + self._params.presence_weight * F.relu(presence_before - presence)
        return loss.sum()

    def _crop(self, latents: Tensor) -> tuple[Tensor, BoxF]:
        """Decodes the surroundings of the region; returns them and the region in their pixels."""
        height, width = self._mask.shape
        rows, columns = latents.shape[2:]
        x1, y1, x2, y2 = cells_around(self._xyxy, (height, width), (rows, columns), self._tuning.context)
        picture = self._preview.decode(latents[..., y1:y2, x1:x2])
        across, down = columns / width, rows / height
        px_x, px_y = picture.shape[3] / (x2 - x1), picture.shape[2] / (y2 - y1)
        left, top, right, bottom = self._xyxy
        return picture, (
            (left * across - x1) * px_x,
            (top * down - y1) * px_y,
            (right * across - x1) * px_x,
            (bottom * down - y1) * px_y,
        )

    def _ask(self, picture: Tensor, region: BoxF) -> tuple[Tensor, Tensor | None]:
        self._before_call()
        if isinstance(self._guide, PresenceDetector):
            return self._guide.defect_and_presence(picture, region)
        return self._guide.defect_energy(picture, region), None

    def _look(self, latents: Tensor) -> tuple[Tensor, Tensor | None]:
        with torch.no_grad():
            return self._ask(*self._crop(latents))

    def _first_look(self, latents: Tensor) -> tuple[Tensor, Tensor | None]:
        """Scores the region like ``_look``, and measures how many pictures fit into one gradient."""
        start = latents.detach().clone().requires_grad_()
        (energy, presence), weight = weighed_graph(lambda: self._ask(*self._crop(start)))
        self._at_once = fitting(self._batch_bytes, weight / len(latents) * self._params.copies)
        return energy.detach(), None if presence is None else presence.detach()

    def _note(
        self,
        index: int,
        strength: float,
        before: tuple[Tensor, Tensor | None],
        after: tuple[Tensor, Tensor | None],
    ) -> None:
        each = tuple(zip(before[0].tolist(), after[0].tolist(), strict=True))
        energies = [float(energy.mean()) for energy, _ in (before, after)]
        presences = [None if p is None else float(p.mean()) for _, p in (before, after)]
        self.steps.append(
            NudgeStep(
                index=index,
                strength=strength,
                energies=each,
                energy_before=energies[0],
                energy_after=energies[1],
                presence_before=presences[0],
                presence_after=presences[1],
            )
        )


def steps_within(total: int, window: tuple[float, float]) -> frozenset[int]:
    """Returns the indices of the steps in a window of the run; at least one, the nearest to its middle.

    The last step is left out unless it is the only one, since no later step could correct the change.
    """
    last = max(1, total - 1)
    inside = [i for i in range(last) if window[0] <= (i + 1) / total <= window[1]]
    middle = sum(window) / 2
    return frozenset(inside or [min(range(last), key=lambda i: abs((i + 1) / total - middle))])


def masked_rms(latents: Tensor, weight: Tensor) -> Tensor:
    """Returns the root mean square of each picture's latents under a mask.

    Args:
        latents: (B, C, h, w).
        weight: (1, 1, h, w) in [0, 1].

    Returns:
        (B, 1, 1, 1); 0 if the mask is empty.
    """
    total = (latents.square() * weight).sum((1, 2, 3), keepdim=True)
    return (total / (weight.sum() * latents.shape[1]).clamp_min(1e-12)).sqrt()


def unit_direction(slope: Tensor, weight: Tensor, clip: float) -> Tensor:
    """Normalizes a gradient under a mask to RMS 1, then clips it to ``clip``; 0 if the gradient is 0.

    Args:
        slope: (B, C, h, w).
        weight: (1, 1, h, w) in [0, 1].
        clip: largest value.
    """
    masked = slope * weight
    rms = masked_rms(masked, (weight > 0).to(weight.dtype))
    return torch.where(rms > 0, masked / rms.clamp_min(1e-30), torch.zeros_like(masked)).clamp(-clip, clip)


def views(picture: Tensor, copies: int, jitter: float, generator: torch.Generator) -> list[Tensor]:
    """Returns the picture, and slightly shifted and scaled copies of it.

    Their mean gradient depends on the part and less on the pixel grid.

    Args:
        picture: (B, 3, H, W).
        copies: number of views, including the plain one.
        jitter: largest shift and change of scale, as a share of the picture.
        generator: random generator on the CPU.
    """
    found = [picture]
    for _ in range(copies - 1):
        scale, across, down = ((torch.rand(3, generator=generator) * 2 - 1) * jitter).tolist()
        theta = torch.tensor([[[1 + scale, 0, 2 * across], [0, 1 + scale, 2 * down]]], device=picture.device)
        shape = [len(picture), *picture.shape[1:]]
        grid = F.affine_grid(theta.expand(len(picture), -1, -1), shape, align_corners=False)
        found.append(F.grid_sample(picture, grid, padding_mode="border", align_corners=False))
    return found
