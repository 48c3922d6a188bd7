"""The interface of repair methods. To add one: a file here, its name in ``core.params.Method``, and the mapping in
``service.engine.methods``.
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
    """One region with all that a method is shown of it.

    Attributes:
        image: uint8 RGB (H, W, 3), of any size; never written to.
        region: the place; its denoise mask says where a method may draw.
        window: the part of the image that a model works on (see ``window_of``).
        prompts: prompt and negative prompt.
        nudge: parameters of the nudge, for methods that do it.
        on_step: called often with the number of denoising steps done; what it raises ends the work.
    """

    image: Image
    region: Region
    window: Window
    prompts: Prompts
    nudge: NudgeParams = field(default_factory=NudgeParams)
    on_step: Callable[[int], None] | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Proposal:
    """Candidates for a window.

    Attributes:
        method: the method's name in the report.
        canvases: uint8 RGB, as the model drew them; one for each seed.
        window: where they belong.
        repainted: float32 of the window's size in the image, above 0 where the model was free to draw.
        energies: of each candidate the guide's energy before the first nudge and after the last; None
            without nudges.
    """

    method: str
    canvases: list[Image]
    window: Window
    repainted: Mask
    energies: list[tuple[float, float]] | None = None

    def patch(self, index: int) -> Image:
        """Makes one candidate at the image's scale, covering the window's ``box``: uint8 RGB."""
        return self.window.uncut(self.canvases[index])

    @property
    def patches(self) -> list[Image]:
        """All candidates at the image's scale."""
        return [self.patch(index) for index in range(len(self.canvases))]


class RepairMethod(Protocol):
    """A way of drawing candidates for a region."""

    def propose(self, context: RegionContext, rung: Rung, seeds: Sequence[int]) -> Proposal:
        """Draws one candidate for each seed."""
        ...


Methods = Mapping[Method, RepairMethod]
"""The methods that the loaded models allow for."""
