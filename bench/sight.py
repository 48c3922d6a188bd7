"""Measures how well real pictures are seen.

``python -m bench.sight --data DIR [--photos DIR/test] [--sheets DIR]``.

DIR is any folder of pictures with boxes and labels (``bench.sight_data``). Told are, of the bundled models
and of any ultralytics ``.pt`` given by ``--weights``: whether a part is found at all (any class), by size and
by source; and how well malformed ones are told from well-formed ones, by the critic on the true boxes and by
the detector where it finds them. All intervals are bootstrap intervals over pictures: hands of one picture
err together. ``--sheets`` draws the malformed parts with the lowest scores and the well-formed ones with the
highest.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.eyes import area
from bench.intervals import machine, table
from bench.sight_data import Judged, read, read_sound
from detectors import boxes
from detectors.body_parts import is_malformed, part_of
from detectors.closer import CloserDetector
from detectors.critic import critic_crop
from detectors.detections import Detections, Image
from detectors.fusion import FUSION_LEAST_CONF
from detectors.protocols import Critic, Detector
from detectors.yolo import YoloDetector
from service.engine.loading import choose_device, load_critic, load_detector
from service.runtime.settings import read_settings
from training.sheets import number_tile, page_of
from training.textures import read_picture

FOUND_IOU = 0.4
FOUND_CONF = 0.25
SIZES_PX = (44, 64, 96, 160, 1 << 16)
"""A hand under the first is neither counted as found nor as missed."""
ALARMS = (0.10, 0.05)
BINS = 10
DRAWS = 1000
TILE_PX, COLUMNS, ROWS = 200, 6, 4

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]


def over_pictures(
    pictures: Sequence[object], figure: Callable[..., float], *columns: NDArray[np.generic]
) -> str:
    """A figure with its 95 % bootstrap interval, whole pictures drawn.

    Args:
        pictures: which picture each row is of.
        figure: of the columns, or of some of their rows; NaN where it cannot be told.
        columns: (N,) each.
    """
    _, of = np.unique([str(picture) for picture in pictures], return_inverse=True)
    rows_of = [np.flatnonzero(of == picture) for picture in range(of.max(initial=-1) + 1)]
    if not rows_of:
        return "–"
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(DRAWS):
        drawn = np.concatenate([rows_of[i] for i in rng.integers(len(rows_of), size=len(rows_of))])
        draws.append(figure(*(column[drawn] for column in columns)))
    if np.isnan(draws).all():
        return "–"
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return f"{figure(*columns):.3f} [{low:.3f}, {high:.3f}]"


def auroc(truth: Flags, scores: Scores) -> float:
    """Area under the curve; NaN without one of each."""
    return area(truth, scores) if 0 < truth.sum() < len(truth) else float("nan")


def recall_at(truth: Flags, scores: Scores, alarms: float) -> float:
    """The share of malformed ones above the score that such a share of well-formed ones reaches."""
    if not 0 < truth.sum() < len(truth):
        return float("nan")
    least = np.quantile(scores[~truth], 1 - alarms, method="higher")
    return float((scores[truth] > least).mean())


def calibration_error(truth: Flags, scores: Scores) -> float:
    """Expected calibration error: mean distance of score and share, in bins of equally many."""
    bins = np.array_split(np.argsort(scores, kind="stable"), BINS)
    gaps = [abs(scores[rows].mean() - truth[rows].mean()) * len(rows) for rows in bins if len(rows)]
    return float(sum(gaps) / len(scores))


def told_apart(name: str, parts: Sequence[Judged], scores: Scores) -> list[list[str]]:
    """Lines of the table: parts on which two agree, of them the plain ones, and all."""
    truth = np.array([one.malformed for one in parts])
    agreed = np.array([one.agreed for one in parts])
    plain = agreed & np.array([not one.malformed or one.severity != 1 for one in parts])
    rows = []
    for title, some in (("two agree", agreed), ("two agree, plain", plain), ("all", np.ones_like(agreed))):
        chosen = [one.picture for one, take in zip(parts, some, strict=True) if take]
        t, s = truth[some], scores[some]
        areas = over_pictures(chosen, auroc, t, s)
        recalls = [over_pictures(chosen, partial(recall_at, alarms=alarms), t, s) for alarms in ALARMS]
        count = f"{t.sum()} of {len(t)}"
        rows.append([name, title, count, areas, *recalls, f"{calibration_error(t, s):.3f}"])
    return rows


TOLD_HEADER = ("scores", "parts", "malformed", "AUROC", *(f"recall at {a:.0%} alarms" for a in ALARMS), "ECE")


def by_picture(parts: Sequence[Judged]) -> Iterator[tuple[Image, list[int]]]:
    """Each picture, read once, and the rows of its parts."""
    for picture, rows in groupby(range(len(parts)), key=lambda i: parts[i].picture):
        yield read_picture(picture), list(rows)


def asked(critic: Critic, parts: Sequence[Judged]) -> Scores:
    """The critic's probability of malformed on the true boxes, (N,)."""
    scores = np.zeros(len(parts))
    for image, rows in tqdm(by_picture(parts), desc="critic", unit="pictures"):
        crops = [critic.crop(image, boxes.whole(parts[i].xyxy)) for i in rows]
        scores[rows] = critic.malformed(crops, [parts[i].part for i in rows])
    return scores


def detected(detector: Detector, parts: Sequence[Judged]) -> tuple[Flags, Scores]:
    """Which parts are found, by any class of that part, and the score for malformed there, (N,) each."""
    found, scores = np.zeros(len(parts), bool), np.zeros(len(parts))
    for image, rows in tqdm(by_picture(parts), desc="detector", unit="pictures"):
        seen = detector.detect([image], FUSION_LEAST_CONF)[0]
        for i in rows:
            near = _near(seen, parts[i], detector.class_names)
            found[i] = bool((near.conf >= FOUND_CONF).any())
            bad = [is_malformed(detector.class_names[c]) for c in near.class_id]
            scores[i] = near.conf[np.array(bad, bool)].max(initial=0.0)
    return found, scores


def _near(seen: Detections, one: Judged, names: Sequence[str]) -> Detections:
    same = np.array([part_of(names[c]) == one.part for c in seen.class_id], bool)
    return seen[same & (boxes.iou(seen.xyxy, one.xyxy)[:, 0] >= FOUND_IOU)]


def found_rows(name: str, parts: Sequence[Judged], found: Flags) -> list[list[str]]:
    """Lines of the table of what is found: all, well-formed and malformed, by size, by source."""
    sizes = np.array([one.size_px for one in parts])
    groups = {"all": sizes >= SIZES_PX[0]}
    bad = np.array([one.malformed for one in parts])
    groups |= {"well-formed": groups["all"] & ~bad, "malformed": groups["all"] & bad}
    for low, high in pairwise(SIZES_PX):
        title = f"{low} to {high} px" if high < SIZES_PX[-1] else f"{low} px and more"
        groups[title] = (sizes >= low) & (sizes < high)
    for source in sorted({one.source for one in parts} - {""}):
        groups[source] = groups["all"] & np.array([one.source == source for one in parts])
    rows = []
    for title, some in groups.items():
        pictures = [one.picture for one, take in zip(parts, some, strict=True) if take]
        share = over_pictures(pictures, np.mean, found[some])
        rows.append([name, title, str(int(some.sum())), share])
    return rows


def draw_sheets(out: Path, name: str, parts: Sequence[Judged], scores: Scores) -> None:
    """Writes ``NAME-misses.png`` and ``NAME-alarms.png``: the worst first, with their row numbers."""
    out.mkdir(parents=True, exist_ok=True)
    truth = np.array([one.malformed for one in parts])
    order = np.argsort(scores, kind="stable")
    worst = {"misses": order[truth[order]], "alarms": order[~truth[order]][::-1]}
    for title, rows in worst.items():
        tiles = []
        for row in rows[: COLUMNS * ROWS]:
            one = parts[int(row)]
            tile = critic_crop(read_picture(one.picture), one.xyxy, TILE_PX, 1.6)[..., ::-1].copy()
            number_tile(tile, int(row))
            words = f"{scores[row]:.2f} {one.picture.stem[:22]}"
            cv2.putText(tile, words, (3, TILE_PX - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 255, 255), 1)
            tiles.append(tile)
        if tiles:
            cv2.imwrite(str(out / f"{name}-{title}.png"), page_of(tiles, COLUMNS, ROWS))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--photos", type=Path, help="photographs of well-formed hands (images, labels)")
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="other detectors, .pt")
    parser.add_argument("--sheets", type=Path, help="where to draw the worst misses and alarms")
    args = parser.parse_args()
    settings = read_settings()
    device = choose_device(settings.device)
    critic = load_critic(settings, device)
    detectors: dict[str, Detector] = {"detector": load_detector(settings, device)}
    detectors |= {path.stem: CloserDetector(YoloDetector.load(path, device)) for path in args.weights}
    parts = read(args.data, args.split)
    told, found = list[list[str]](), list[list[str]]()
    by_name = {} if critic is None else {"critic": asked(critic, parts)}
    for name, detector in detectors.items():
        hits, by_name[name] = detected(detector, parts)
        found += found_rows(name, parts, hits)
    for name, scores in by_name.items():
        told += told_apart(name, parts, scores)
        if args.sheets is not None:
            draw_sheets(args.sheets, name, parts, scores)
    print(machine())
    print(table(TOLD_HEADER, told))
    print(table(("detector", "parts", "count", f"found, IoU {FOUND_IOU}"), found))
    if args.photos is not None and critic is not None:
        sound = read_sound(args.photos)
        over = asked(critic, sound) >= critic.threshold
        share = over_pictures([one.picture for one in sound], np.mean, over)
        print(f"well-formed hands of photographs called malformed by the critic: {share} of {len(sound)}\n")


if __name__ == "__main__":
    main()
