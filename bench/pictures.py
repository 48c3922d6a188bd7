"""Six runs to look at: ``python -m bench.pictures --out docs/pictures``.

Pictures come in the order of the bench's prompts and seeds; the first of each kind in which something was to
be repaired are shown, whatever came of them. Each sheet has the run's previews, where the detector's score
comes from, the mask, the candidates with the gate's verdicts, and the result.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.generator import KINDS
from bench.intervals import machine
from bench.models import load_models
from bench.prompts import prompts
from detectors.detections import Box, Image
from service.core.listener import Silent
from service.core.params import RepairParams
from service.core.regions import Region
from service.core.requests import GenerateRequest
from service.repair.gate import Gate, Reading
from service.repair.ladder import Ladder, Repaired
from service.repair.methods.redraw import redraw_only
from service.repair.prompts import Prompts

EACH = {"hand": 2, "horse": 2, "person": 1, "rider": 1}
MOST_TRIED = 40
SHOWN = 6
"""Candidates on a sheet."""


class Previews(Silent):
    """Keeps what a run shows of itself."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, Image]] = []

    def wants_preview(self) -> bool:
        """Always."""
        return True

    def preview(self, picture: int, step: int, image: Image) -> None:
        """Keeps it."""
        self.seen.append((step, image))


@dataclass(frozen=True, slots=True, eq=False)
class ShownGate(Gate):
    """A gate that keeps every picture it is shown."""

    pictures: list[Image] = field(default_factory=list)

    def read(
        self, images: Sequence[Image], region: Region, near: Box, rivals: Sequence[Box] = ()
    ) -> list[Reading]:
        """As the gate."""
        self.pictures.extend(images)
        return Gate.read(self, images, region, near, rivals)  # a class with slots is made anew: no super()


def sheet(
    title: str,
    previews: Sequence[tuple[int, Image]],
    heat: Image,
    gate: ShownGate,
    before: Image,
    done: Repaired,
) -> Any:
    """One figure for one picture."""
    from matplotlib import pyplot

    region, outcome = done.outcomes[0].region, done.outcomes[0]
    tried = list(zip(gate.pictures[1:], outcome.attempts, strict=False))
    # Those with the least score are the most telling, the accepted one among them.
    tried = sorted(tried, key=lambda pair: (pair[1].verdict != "accepted", pair[1].conf))[:SHOWN]
    outlined = before.copy()
    edge = (region.composite_mask > 0) & (region.composite_mask < 1)
    outlined[edge] = (230, 80, 20)
    panels = [(f"after step {step}", image) for step, image in previews[:3]]
    panels += [(f"{region.class_name} {region.conf:.2f}", before), ("heat map", heat), ("mask", outlined)]
    panels += [(f"{a.method} {a.strength:g}: {a.conf:.2f}\n{a.verdict.value}", image) for image, a in tried]
    panels += [("", np.full_like(before, 250))] * (2 * SHOWN - len(panels))
    panels += [("before", before), ("answer", done.image)]
    figure, axes = pyplot.subplots(2, SHOWN + 1, figsize=(2.1 * (SHOWN + 1), 5.2), dpi=100)
    places = (
        [axes[0, i] for i in range(SHOWN)] + [axes[1, i] for i in range(SHOWN)] + [axes[0, -1], axes[1, -1]]
    )
    for place, (caption, image) in zip(places, panels, strict=True):
        place.imshow(image)
        place.set_title(caption, fontsize=8)
        place.axis("off")
    figure.suptitle(f"{title}: {outcome.reason}", fontsize=9)
    figure.tight_layout()
    return figure


def main() -> None:
    """The command line."""
    import matplotlib

    matplotlib.use("Agg")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=40_000)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    models = load_models()
    redraws, engine, inspector = models.redraws, models.engine(), models.inspector(own=True)
    print(machine())
    for kind in KINDS:
        shown = 0
        for index, prompt in enumerate(prompts(kind, MOST_TRIED)):
            if shown == EACH[kind]:
                break
            previews, seed = Previews(), args.seed + index
            made = engine.generate(GenerateRequest(prompt=prompt.text, seed=seed, repair=None), previews)[
                0
            ].image
            look = inspector.inspect(made, RepairParams())
            if not look.plan.regions:
                continue
            gate = ShownGate(models.detector, models.critic, look.thresholds, look.fusion)
            done = Ladder(
                methods=redraw_only(redraws),
                native_px=redraws.native_px,
                gate=gate,
                prompts=Prompts(prompt.text),
                seen=look.seen,
                own=redraws.per_class,
            ).repair(made, look.plan, seed)
            heat = engine.heatmap(made, inspector.found(made, inspector.calibration.conf))
            name = f"{kind}-{shown + 1}.png"
            sheet(f"“{prompt.text}”, seed {seed}", previews.seen, heat, gate, made, done).savefig(
                args.out / name
            )
            print(f"{name}: {prompt.text}, seed {seed}: {done.outcomes[0].reason}", flush=True)
            shown += 1


if __name__ == "__main__":
    main()
