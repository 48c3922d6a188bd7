"""Bends x0, inside a region, towards what a detector takes to be well-formed.

On x0 and not through the denoiser, whose Jacobian is near the identity there: a nudge then costs a small
decode and a detector pass. The gradient through the denoiser is here too, for comparison (universal
guidance, Bansal et al., 2023, is that one), and so is a random direction, which must lose to both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest

import torch
import torch.nn.functional as F
from torch import Tensor

from detectors.detections import Mask
from detectors.protocols import DifferentiableDetector, PresenceDetector
from service.core.params import Direction, NudgeParams
from service.diffusion.hooks import Step
from service.diffusion.latents import cells_around, mask_to_cells
from service.diffusion.memory_budget import BATCH_BYTES, fitting, weighed_graph
from service.diffusion.preview import Preview
from service.diffusion.replay import DenoiserReplay

BoxF = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class NudgeStep:
    """What one nudge did, in the guide's own eyes: the mean over the batch, on the plain view.

    Attributes:
        index: the step's.
        strength: as a multiple of the region's RMS.
        energies: the guide's defect energy before and after, of each picture of the batch.
        energy_before: the guide's defect energy.
        energy_after: the same after the nudge.
        presence_before: how surely there is a part; None if the guide cannot say.
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
    """A hook that nudges one region; the same in all pictures of a batch.

    Attributes:
        steps: what was done, in order: the report.
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
        replay: DenoiserReplay | None = None,
        batch_bytes: int = BATCH_BYTES,
        before_call: Callable[[], None] = lambda: None,
    ) -> None:
        """Takes where to nudge, and by what.

        Args:
            preview: decodes x0, differentiable.
            guide: says how malformed the region is. It should be neither gate nor judge.
            xyxy: the region, in pixels of the finished picture.
            mask: float32 (H, W) of that picture; nothing changes in a latent cell in which it is 0.
            params: how.
            seed: of the jitter, and of the random direction.
            replay: asks the denoiser again; for ``Direction.THROUGH_DENOISER`` only.
            batch_bytes: what may be kept for a gradient at once; of larger batches a few pictures at a time
                are gone back through.
            before_call: called before each call of the guide; what it raises ends the run.

        Raises:
            ValueError: if that direction is asked for and there is none.
        """
        self._preview = preview
        self._guide = guide
        self._xyxy = xyxy
        self._mask = mask
        self._params = params or NudgeParams()
        self._seed = seed
        self._replay = replay
        self._batch_bytes = batch_bytes
        self._before_call = before_call
        self._at_once: int | None = None
        self._presence: Tensor | None = None
        self.steps: list[NudgeStep] = []
        if self._params.direction is Direction.THROUGH_DENOISER and replay is None:
            raise ValueError("a gradient through the denoiser needs its replay")

    def __call__(self, step: Step) -> Tensor | None:
        """The nudged x0 inside the window, None outside it."""
        if step.index not in steps_within(step.total, self._params.window):
            return None
        weight = mask_to_cells(self._mask, (step.x0.shape[2], step.x0.shape[3])).to(step.x0.device)
        strength = self._strength(step.progress)
        before = self._look(step.x0) if self._at_once is not None else self._first_look(step.x0)
        self._presence = before[1] if self._presence is None else self._presence
        direction = unit_direction(self._slope(step), weight, self._params.clip)
        size = strength * masked_rms(step.x0, weight)
        changed = torch.where(weight > 0, step.x0 - size * direction, step.x0)
        self._note(step.index, strength, before, self._look(changed))
        return changed

    @property
    def energies(self) -> list[tuple[float, float]]:
        """Of each picture of the batch the defect energy before the first nudge and after the last."""
        first, last = self.steps[0].energies, self.steps[-1].energies
        return [(before, after) for (before, _), (_, after) in zip(first, last, strict=True)]

    def _strength(self, progress: float) -> float:
        start, end = self._params.window
        passed = min(max((progress - start) / (end - start), 0.0), 1.0) if end > start else 0.0
        first, last = self._params.strength
        return float(first * (last / first) ** passed)

    def _slope(self, step: Step) -> Tensor:
        """The gradient of the loss, or what stands in for it, of the shape of x0."""
        if self._params.direction is Direction.RANDOM:
            return torch.randn(step.x0.shape, generator=self._lots(step)).to(step.x0.device)
        if self._replay is not None and self._params.direction is Direction.THROUGH_DENOISER:
            with torch.enable_grad():
                start = step.sample.detach().float().requires_grad_()
                asked = self._replay.x0(step, start.to(step.sample.dtype))
                latents = asked + (step.x0 - asked).detach()  # what earlier hooks changed still holds
                return self._gradient(latents, start, self._presence, self._lots(step))
        at_once = self._at_once or len(step.x0)
        presences = () if self._presence is None else torch.split(self._presence, at_once)
        slopes = []
        for part, presence in zip_longest(torch.split(step.x0, at_once), presences):
            with torch.enable_grad():
                start = part.detach().clone().requires_grad_()
                slopes.append(self._gradient(start, start, presence, self._lots(step)))
        return torch.cat(slopes)

    def _lots(self, step: Step) -> torch.Generator:
        return torch.Generator().manual_seed((self._seed << 16) + step.index)

    def _gradient(
        self, latents: Tensor, start: Tensor, presence: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """The loss of ``latents``, differentiated by what they were made from."""
        return torch.autograd.grad(self._loss(latents, presence, generator), start)[0].float()

    def _loss(self, latents: Tensor, presence_before: Tensor | None, generator: torch.Generator) -> Tensor:
        crop, region = self._crop(latents)
        looked = views(crop, self._params.copies, self._params.jitter, generator)
        asked = [self._ask(view, region) for view in looked]
        loss = torch.stack([energy for energy, _ in asked]).mean(0)
        presence = asked[0][1]  # of the plain view, as was the one that it is compared with
        if presence is not None and presence_before is not None:
            loss = loss + self._params.presence_weight * F.relu(presence_before - presence)
        return loss.sum()

    def _crop(self, latents: Tensor) -> tuple[Tensor, BoxF]:
        """The decoded surroundings of the region, and the region in their pixels."""
        height, width = self._mask.shape
        rows, columns = latents.shape[2:]
        x1, y1, x2, y2 = cells_around(self._xyxy, (height, width), (rows, columns), self._params.context)
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
        """The same, and weighs by the way how many pictures a gradient can be taken of at once."""
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
            NudgeStep(index, strength, each, energies[0], energies[1], presences[0], presences[1])
        )


def steps_within(total: int, window: tuple[float, float]) -> frozenset[int]:
    """Indices of the steps that lie in a window of the run; at least one, the nearest to its middle.

    The last step is left out unless it is the only one: what it would change nothing could mend.
    """
    last = max(1, total - 1)
    inside = [i for i in range(last) if window[0] <= (i + 1) / total <= window[1]]
    middle = sum(window) / 2
    return frozenset(inside or [min(range(last), key=lambda i: abs((i + 1) / total - middle))])


def masked_rms(latents: Tensor, weight: Tensor) -> Tensor:
    """Root mean square of each picture's latents under a mask.

    Args:
        latents: (B, C, h, w).
        weight: (1, 1, h, w) in [0, 1].

    Returns:
        (B, 1, 1, 1); 0 if the mask is empty.
    """
    total = (latents.square() * weight).sum((1, 2, 3), keepdim=True)
    return (total / (weight.sum() * latents.shape[1]).clamp_min(1e-12)).sqrt()


def unit_direction(slope: Tensor, weight: Tensor, clip: float) -> Tensor:
    """A slope under a mask, of RMS 1 there before what is beyond ``clip`` is cut off; 0 if it is flat.

    Args:
        slope: (B, C, h, w).
        weight: (1, 1, h, w) in [0, 1].
        clip: largest value.
    """
    masked = slope * weight
    rms = masked_rms(masked, (weight > 0).to(weight.dtype))
    return torch.where(rms > 0, masked / rms.clamp_min(1e-30), torch.zeros_like(masked)).clamp(-clip, clip)


def views(picture: Tensor, copies: int, jitter: float, generator: torch.Generator) -> list[Tensor]:
    """The picture as it is, and copies that are a little moved and scaled.

    A gradient that holds for all of them belongs to the part and not to the pixel grid.

    Args:
        picture: (B, 3, H, W).
        copies: in all, the plain one included.
        jitter: largest shift and change of scale, as a share of the picture.
        generator: on the CPU.
    """
    found = [picture]
    for _ in range(copies - 1):
        scale, across, down = ((torch.rand(3, generator=generator) * 2 - 1) * jitter).tolist()
        theta = torch.tensor([[[1 + scale, 0, 2 * across], [0, 1 + scale, 2 * down]]], device=picture.device)
        shape = [len(picture), *picture.shape[1:]]
        grid = F.affine_grid(theta.expand(len(picture), -1, -1), shape, align_corners=False)
        found.append(F.grid_sample(picture, grid, padding_mode="border", align_corners=False))
    return found


def elsewhere(xyxy: BoxF, image_hw: tuple[int, int]) -> BoxF:
    """A box of the same size as far away in the picture as there is room: the wrong place, as a control."""
    height, width = image_hw
    x1, y1, x2, y2 = xyxy
    corners = [(x, y) for x in (0.0, width - (x2 - x1)) for y in (0.0, height - (y2 - y1))]
    left, top = max(corners, key=lambda corner: math.hypot(corner[0] - x1, corner[1] - y1))
    return left, top, left + x2 - x1, top + y2 - y1
