"""The interface of repair methods.

To add one: a file here, its name in ``core.params.Method``, and the mapping in ``service.engine.methods``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from detectors.detections import Image, Mask
from service.core.params import Method, NudgeParams
from service.core.regions import Region
from service.repair.prompts import Prompts
from service.repair.rungs import Rung
from service.repair.window import Window


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RegionContext:
    """One region with the inputs of a repair method.

    Attributes:
        image: uint8 RGB (H, W, 3), of any size; never written to.
        region: the region; a method may draw only inside its denoise mask.
        window: the part of the image that the model works on (see ``window_of``).
        prompts: prompt and negative prompt.
        nudge: parameters of the nudge, for methods that use it.
        on_step: called often with the number of denoising steps done; an exception from it ends the work.
    """

    image: Image
    region: Region
    window: Window
    prompts: Prompts
    nudge: NudgeParams = field(default_factory=NudgeParams)
    on_step: Callable[[int], None] | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Proposal:
    """The candidates for one window.

    Attributes:
        method: the method's name in the report.
        canvases: uint8 RGB canvases of the model, one for each seed.
        window: the window of the canvases.
        repainted: float32 of the window's size in the image, above 0 where the model was free to draw.
        energies: the guide's energy of each candidate before the first nudge and after the last; None
            without nudges.
    """

    method: str
    canvases: list[Image]
    window: Window
    repainted: Mask
    energies: list[tuple[float, float]] | None = None

    def patch(self, index: int) -> Image:
        """Returns one candidate at the image's scale, covering the window's ``box``: uint8 RGB."""
        return self.window.uncut(self.canvases[index])

    @property
    def patches(self) -> list[Image]:
        """All candidates at the image's scale."""
        return [self.patch(index) for index in range(len(self.canvases))]


class RepairMethod(Protocol):
    """A method to draw candidates for a region."""

    def propose(self, context: RegionContext, rung: Rung, seeds: Sequence[int]) -> Proposal:
        """Draws one candidate for each seed."""
        ...


Methods = Mapping[Method, RepairMethod]
"""The methods that the loaded models support, by name."""
