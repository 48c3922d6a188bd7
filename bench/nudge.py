"""Comparison of the nudge with its controls: ``python -m bench.nudge --test DIR/test --count 60``.

Known defects of held-out renders are redrawn from the same noise with and without a nudge. The controls are a
random direction of the same length and the gradient of another place. The table has the gate's worst score
(over the plain, the compressed and the reduced picture) and the judge's probabilities, also for the
compressed and the reduced picture: a gain that these destroy is an adversarial pattern and no better hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from scipy.stats import wilcoxon
from tqdm import tqdm

from bench.cases import MALFORMED, Case, rendered
from bench.intervals import machine, mean, share, table
from bench.judge import Judge, Place
from bench.models import load_models
from bench.nudge_controls import RandomNudge
from detectors.body_parts import part_of
from detectors.detections import Mask
from detectors.protocols import DifferentiableDetector
from service.core.params import Method, NudgeParams, RepairParams
from service.core.regions import Region
from service.diffusion.nudge import BoxF, Nudge
from service.repair import blend
from service.repair.gate import Gate
from service.repair.methods.base import RegionContext
from service.repair.methods.nudge import Nudger
from service.repair.methods.redraw import MakeGuidanceHook, redraw
from service.repair.prompts import Prompts, prompts_for
from service.repair.rungs import Rung
from service.repair.window import window_of
from training.textures import jpeg


class View(Enum):
    """A version of the picture that the judge sees."""

    PLAIN = "plain"
    JPEG = "JPEG 90"
    REDUCED = "0.9×"


class NudgeArm(Enum):
    """One way to redraw; the value is its description in the table."""

    NO_NUDGE = "no nudge"
    GRADIENT = "gradient"
    RANDOM_DIRECTION = "random direction"
    GRADIENT_ELSEWHERE = "gradient of another place"


@dataclass(slots=True)
class Scores:
    """Scores of one arm, one for each case; the judge's by view."""

    gate: list[float] = field(default_factory=list)
    judge: dict[View, list[float]] = field(default_factory=lambda: {view: [] for view in View})


class NudgeBench:
    """The service's own parts, without the ladder: every candidate counts, also if the gate rejects it."""

    def __init__(self) -> None:
        models = load_models()
        self.redraws, detector = models.redraws, models.detector
        self.detector = detector
        self.inspector = models.inspector(own=False)
        self.gate = Gate(detector, models.critic, detector.default_conf)
        preview = self.redraws.preview()
        self.nudgers = {"detector": Nudger(preview, detector)}
        if isinstance(models.critic, DifferentiableDetector):
            self.nudgers["critic"] = Nudger(preview, models.critic)
        self.judge = Judge()

    def regions(self, cases: Sequence[Case]) -> Iterator[tuple[Case, Region]]:
        """Yields the places of known defects that the detector finds."""
        for case in cases:
            plan = self.inspector.inspect(case.image, RepairParams()).plan
            if plan.regions:
                yield case, plan.regions[0]

    def guidance_hooks(
        self, guide: str, params: NudgeParams, seed: int
    ) -> dict[NudgeArm, MakeGuidanceHook | None]:
        """Returns the guidance hook of each arm; None for no nudge."""
        nudger = self.nudgers[guide]
        gradient: MakeGuidanceHook = partial(nudger.hook, params=params, seed=seed)

        def random(xyxy: BoxF, mask: Mask) -> Nudge:
            return RandomNudge(nudger.preview, nudger.guide, xyxy, mask, params, seed=seed)

        def elsewhere(xyxy: BoxF, mask: Mask) -> Nudge:
            side = float(self.redraws.native_px)
            x1, y1, x2, y2 = xyxy
            turned = (side - x2, side - y2, side - x1, side - y1)
            moved = (
                turned
                if abs(turned[0] - x1) + abs(turned[1] - y1) > side / 8
                else (0.0, 0.0, x2 - x1, y2 - y1)
            )
            return nudger.hook(moved, mask, params, seed)

        return {
            NudgeArm.NO_NUDGE: None,
            NudgeArm.GRADIENT: gradient,
            NudgeArm.RANDOM_DIRECTION: random,
            NudgeArm.GRADIENT_ELSEWHERE: elsewhere,
        }

    def measure(
        self,
        case: Case,
        region: Region,
        strength: float,
        guidance_hook: MakeGuidanceHook | None,
        into: Scores,
    ) -> None:
        """Draws one candidate and adds the scores of gate and judge to ``into``."""
        window = window_of(region, case.image.shape[:2], self.redraws.native_px)
        prompts = prompts_for(region, Prompts(case.prompt), ())
        context = RegionContext(image=case.image, region=region, window=window, prompts=prompts)
        rung = Rung(method=Method.REDRAW, strength=strength, seeds=1, fill=False)
        drawn = redraw(self.redraws, context, rung, [case.seed], guidance_hook)
        x1, y1, x2, y2 = window.box
        toned = blend.match_tone(drawn.patches[0], case.image[y1:y2, x1:x2], drawn.repainted)
        toned = blend.match_ground(toned, case.image[y1:y2, x1:x2])
        picture = blend.composite(case.image, toned, window.box, region.composite_mask)
        into.gate.append(self.gate.read([picture], region, window.box)[0].conf)
        small = cv2.resize(picture, None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA)
        views = (picture, jpeg(picture, 90), np.asarray(small, np.uint8))
        boxes = [np.asarray(region.xyxy, np.float64) * scale for scale in (1.0, 1.0, 0.9)]
        places = [Place(part_of(region.class_name), box.tolist()) for box in boxes]
        for view, malformed in zip(View, self.judge.malformed(views, places), strict=True):
            into.judge[view].append(malformed)


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to nudge: the guide, the strength of the redraw, and the nudged share of the run."""

    guide: str
    strength: float
    window: tuple[float, float]


def row(setting: Setting, arm: NudgeArm, scores: Scores, plain: Scores) -> list[str]:
    """Returns one arm's line; ``plain`` is the arm without a nudge."""
    better = np.array(plain.judge[View.PLAIN]) - np.array(scores.judge[View.PLAIN])
    p = "–" if scores is plain or not better.any() else f"{wilcoxon(better).pvalue:.2f}"
    sound = sum(score <= MALFORMED for score in scores.judge[View.PLAIN])
    others = [f"{np.mean(scores.judge[view]):.2f}" for view in (View.JPEG, View.REDUCED)]
    first, last = setting.window
    return [
        setting.guide, f"{setting.strength:g}", f"{first:g} to {last:g}", arm.value, mean(scores.gate),
        mean(scores.judge[View.PLAIN]), p, *others, share(sound, len(scores.gate)),
    ]  # fmt: skip


HEADER = (
    "guide", "strength", "window", "arm", "gate's worst score", "judge", "p against no nudge",
    "judge, JPEG 90", "judge, 0.9×", "well-formed by the judge",
)  # fmt: skip


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60, help="renders with a defect")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.4, 0.75])
    parser.add_argument(
        "--windows", type=_window, nargs="+", default=[NudgeParams().window], help="as 0.2-0.7"
    )
    parser.add_argument("--guides", nargs="+", choices=("detector", "critic"), default=["detector"])
    parser.add_argument("--size", type=float, nargs=2, default=NudgeParams().strength, help="of the nudge")
    args = parser.parse_args()
    bench = NudgeBench()
    found = list(bench.regions(rendered(args.test, args.count)))
    rows = []
    for setting in map(Setting, *zip(*product(args.guides, args.strengths, args.windows), strict=True)):
        arms: dict[NudgeArm, Scores] = {}
        params = NudgeParams(window=setting.window, strength=tuple(args.size))
        for case, region in tqdm(found, desc=str(setting)):
            for arm, guidance_hook in bench.guidance_hooks(setting.guide, params, case.seed).items():
                bench.measure(case, region, setting.strength, guidance_hook, arms.setdefault(arm, Scores()))
        rows += [row(setting, arm, scores, arms[NudgeArm.NO_NUDGE]) for arm, scores in arms.items()]
    print(machine())
    print(f"{len(found)} defects found of {args.count}; size {tuple(args.size)}")
    print(table(HEADER, rows))


def _window(text: str) -> tuple[float, float]:
    first, last = map(float, text.split("-"))
    return first, last


if __name__ == "__main__":
    main()
