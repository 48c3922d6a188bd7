"""Prompt adherence of the generator: ``python -m bench.generator --test DIR/test --sheet PNG``.

The bundled detector finds the wanted thing. Its colour is the median of a fixed place in its box, compared
with the same place in renders whose colours are known.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.detector import Labelled
from bench.intervals import machine, mean, share, table
from bench.prompts import Prompt, prompts
from detectors.body_parts import part_of
from detectors.detections import Detections, Image
from service.core.requests import GenerateRequest
from service.engine.engine import DiffusionEngine
from service.runtime.settings import read_settings
from training.anatomy.world import read_shard, shards

KINDS = ("hand", "person", "horse", "rider")
WANTED = {"hand": ("hand",), "person": ("person",), "horse": ("horse",), "rider": ("horse", "person")}
PLACES = {"shirt": (0.4, 0.25, 0.6, 0.4), "coat": (0.35, 0.3, 0.65, 0.45)}
"""Where in the box of a person or a horse the shirt and the coat are, as shares of it."""
FOUND_CONF = 0.3
SHEET_COLUMNS = 8


def colour_at(image: Image, where: str, xyxy: Sequence[float] | None) -> NDArray[np.float32]:
    """Median CIELAB colour (3,) of the background's upper corners, or of the place in the box."""
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    if where == "background" or xyxy is None:
        edge = image.shape[0] // 10
        patch = np.concatenate([lab[:edge, :edge].reshape(-1, 3), lab[:edge, -edge:].reshape(-1, 3)])
    else:
        x1, y1, x2, y2 = xyxy
        left, top, right, bottom = PLACES[where]
        patch = lab[_span(y1, y2, top, bottom), _span(x1, x2, left, right)].reshape(-1, 3)
    return np.asarray(np.median(patch, axis=0), np.float32)


def _span(low: float, high: float, begin: float, end: float) -> slice:
    """The pixels between two shares of a side, at least one."""
    first, last = (int(low + at * (high - low)) for at in (begin, end))
    return slice(first, max(last, first + 1))


class ColourProbe:
    """Names colours by their nearest example among renders whose colour word is known."""

    def __init__(self, folder: Path) -> None:
        self._examples: dict[str, list[tuple[str, NDArray[np.float32]]]] = {}
        for path in shards(folder):
            for picture, line in zip(*read_shard(path), strict=True):
                self._learn(Labelled(picture, line["parts"]), line["words"])

    def _learn(self, item: Labelled, words: dict[str, str]) -> None:
        bodies = {part["class_name"]: part["xyxy"] for part in item.parts}
        for where, body in (("background", None), ("shirt", "person"), ("coat", "horse")):
            if where in words and (body is None or body in bodies):
                seen = colour_at(item.image, where, bodies.get(body or ""))
                self._examples.setdefault(where, []).append((words[where], seen))

    def name(self, image: Image, where: str, xyxy: Sequence[float] | None) -> str:
        """The word that most of the nine nearest examples have."""
        examples = self._examples[where]
        seen = colour_at(image, where, xyxy)
        near = np.argsort([float(np.linalg.norm(colour - seen)) for _, colour in examples])[:9]
        words = [examples[i][0] for i in near]
        return str(max(set(words), key=words.count))


def _boxes(found: Detections, names: Sequence[str]) -> dict[str, Sequence[float]]:
    """The most confident box by part, hands and bodies alike."""
    best: dict[str, Sequence[float]] = {}
    for xyxy, index in zip(found.xyxy, found.class_id, strict=True):
        best.setdefault(part_of(names[index]), [float(v) for v in xyxy])
    return best


def judge_prompt(
    prompt: Prompt, image: Image, engine: DiffusionEngine, probe: ColourProbe
) -> tuple[bool, bool]:
    """Returns two answers: is the wanted thing in the picture, and has it the colour of the prompt?"""
    found = _boxes(engine.detect(image, FOUND_CONF).by_confidence(), engine.class_names)
    there = all(name in found for name in WANTED[prompt.kind])
    body = {"shirt": "person", "coat": "horse"}.get(prompt.where)
    if body is not None and body not in found:
        return there, False
    return there, probe.name(image, prompt.where, found[body] if body else None) == prompt.colour


def sheet(images: Sequence[Image]) -> Image:
    """A grid of pictures, eight to a row."""
    rows = [np.hstack(images[at : at + SHEET_COLUMNS]) for at in range(0, len(images), SHEET_COLUMNS)]
    return np.vstack(rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test", type=Path, required=True, help="held-out renders, to name colours by")
    parser.add_argument("--count", type=int, default=50, help="prompts of each kind")
    parser.add_argument("--seed", type=int, default=10_000)
    parser.add_argument("--sheet", type=Path, help="PNG of the first 16 samples of each kind, at half size")
    args = parser.parse_args()
    engine, probe = DiffusionEngine.load(read_settings()), ColourProbe(args.test)
    rows, shown = [], []
    for kind in KINDS:
        there, obeyed, seconds = [], [], []
        for index, prompt in enumerate(tqdm(prompts(kind, args.count), desc=kind)):
            start = time.perf_counter()
            report = engine.generate(
                GenerateRequest(prompt=prompt.text, seed=args.seed + index, repair=None)
            )[0]
            seconds.append(time.perf_counter() - start)
            found, right = judge_prompt(prompt, report.image, engine, probe)
            there.append(found)
            obeyed.append(right)
            if index < 16:
                shown.append(report.image)
        rows.append([kind, share(sum(there), len(there)), share(sum(obeyed), len(obeyed)), mean(seconds)])
    print(machine())
    print(table(["kind", "found", "colour obeyed", "seconds per picture"], rows))
    if args.sheet:
        half = cv2.resize(sheet(shown), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(args.sheet), half[..., ::-1])


if __name__ == "__main__":
    main()
