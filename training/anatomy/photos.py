"""Photographs of hands, and edited copies of them, as a YOLO data set of 256×256 pictures.

    python -m training.anatomy.photos --photos DIR --landmarks FILE --out DIR
        [--per-image 2] [--seed 0] [--px 256]

DIR of the photographs holds ``<split>/images``; FILE is what ``landmarks.py`` wrote. For each photograph
there are: the original, up to ``--per-image`` pictures with one malformed hand, and as many controls, edited
by the same tools but still well-formed. Written are ``<split>/images``, ``<split>/labels`` and, last for each
photograph, ``<split>/facts/<name>.json`` (what each picture is); photographs that have it are skipped.
The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.anatomy.photo_crops import Box, Picture, take_crop, write_picture
from training.anatomy.photo_edits import CONTROLS, DEFECTS, Edited
from training.anatomy.photo_layers import Rng
from training.anatomy.photo_masks import Hand, Image, blur, dilate, find_hand, is_extended

SPLITS = ("train", "select", "test")
CLASSES = ("hand", "malformed_hand", "limb", "malformed_limb", "person", "horse")
MIN_SIDE_PX = 16
"""Smaller boxes are slips of the labelling."""
MARGIN = 0.6
"""How far around its box a hand is cut out for the edit, in sides of the box."""
MIN_CHANGED = {"missing": 0.025, "doubled": 0.02, "bent": 0.03, "fused": 0.022, "long": 0.032, "short": 0.022}
"""A defect must add or remove at least this share of the box's area, in pixels that plainly change colour."""
PLAIN_STEP = 28
MAX_HARM = 0.012
"""A control may change at most this share of the hand's inside plainly."""


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One hand of a photograph: its box (xyxy, pixels) and MediaPipe's points, float32 (21, 2), or None."""

    box: Box
    points: NDArray[np.float32] | None


def read_landmarks(path: Path) -> dict[str, list[Labelled]]:
    """The labelled hands by photograph (path relative to the photographs' folder)."""
    hands: dict[str, list[Labelled]] = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        points = None if record["points"] is None else np.asarray(record["points"], np.float32)
        box = np.maximum(np.asarray(record["box"], np.float32), 0)
        if (box[2:] - box[:2]).min() >= MIN_SIDE_PX:
            hands.setdefault(record["image"], []).append(Labelled(box, points))
    return hands


def window(box: Box, size_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box with ``MARGIN`` around it, in whole pixels inside the image: x0, y0, x1, y1."""
    grow = MARGIN * float(max(box[2] - box[0], box[3] - box[1]))
    x0, y0 = max(0, int(box[0] - grow)), max(0, int(box[1] - grow))
    return x0, y0, min(size_hw[1], int(np.ceil(box[2] + grow))), min(size_hw[0], int(np.ceil(box[3] + grow)))


def mask_box(mask: NDArray[np.bool_]) -> Box:
    """The half-open xyxy box of the mask's pixels."""
    ys, xs = np.nonzero(mask)
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], np.float32)


def shows(hand: Hand, edited: Edited, defect: str) -> bool:
    """True if the edit changes the hand's outline plainly, not too little and not all of it."""
    step = np.abs(edited.image.astype(np.int16) - hand.image.astype(np.int16)).max(axis=-1)
    changed = int(((edited.mask ^ hand.mask) & (step > PLAIN_STEP)).sum())
    box = mask_box(hand.mask)
    return MIN_CHANGED[defect] < changed / float((box[2] - box[0]) * (box[3] - box[1])) < 0.5


def harmless(hand: Hand, edited: Edited) -> bool:
    """True if the edit leaves the hand's inside as it was: no gash, no background where skin should be."""
    step = np.abs(blur(edited.image, 1.0) - blur(hand.image, 1.0)).max(axis=-1)
    inside = dilate(edited.mask & hand.mask, -0.02 * hand.size)
    return int((inside & (step > 38)).sum()) < MAX_HARM * int(hand.mask.sum())


def in_one_piece(mask: NDArray[np.bool_]) -> bool:
    """True if hardly any of the mask lies apart from its largest part."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return bool(stats[1:, cv2.CC_STAT_AREA].max(initial=0) > 0.98 * mask.sum())


def locate(image: Image, labelled: Labelled) -> tuple[Hand, tuple[int, int]] | None:
    """The hand, cut out with its surroundings, and the top left corner (x, y); None if it is of no use."""
    if labelled.points is None or not any(is_extended(labelled.points, f) for f in (1, 2, 3, 4)):
        return None
    x0, y0, x1, y1 = window(labelled.box, image.shape[:2])
    points = labelled.points - np.array([x0, y0], np.float32)
    hand = find_hand(np.ascontiguousarray(image[y0:y1, x0:x1]), points)
    return None if hand is None else (hand, (x0, y0))


def edit_hand(
    image: Image, box: Box, located: tuple[Hand, tuple[int, int]], name: str, rng: Rng
) -> tuple[Image, Box] | None:
    """Edits one hand of a photograph.

    Args:
        image: uint8 RGB (H, W, 3), the whole photograph; it is not changed.
        box: the hand's box, xyxy.
        located: what ``locate`` gave for that hand.
        name: one of ``DEFECTS`` or ``CONTROLS``. A defect must show, a control must not harm.

    Returns:
        The edited photograph and the hand's box in it; None if the edit does not work on this hand.
    """
    hand, (x0, y0) = located
    edited = (DEFECTS.get(name) or CONTROLS[name])(hand, rng)
    if edited is None or not in_one_piece(edited.mask):
        return None
    if not (shows(hand, edited, name) if name in DEFECTS else harmless(hand, edited)):
        return None
    out = image.copy()
    out[y0 : y0 + edited.image.shape[0], x0 : x0 + edited.image.shape[1]] = edited.image
    moved = box + mask_box(edited.mask) - mask_box(hand.mask)
    limits = np.array([image.shape[1], image.shape[0]] * 2, np.float32)
    return out, np.clip(moved, 0, limits).astype(np.float32)


def pictures_of(
    image: Image, hands: list[Labelled], per_image: int, px: int, rng: Rng
) -> Iterator[tuple[str, Picture]]:
    """The original, the malformed ones and as many controls of one photograph, each with what it is.

    The names are ``original``, ``malformed-<defect>`` and ``control-<edit>``.
    """
    boxes, well_formed = np.stack([h.box for h in hands]), np.zeros(len(hands), np.int64)
    picture = take_crop(image, boxes, well_formed, int(rng.integers(len(hands))), px, rng)
    if picture is not None:
        yield "original", picture
    usable = {which: found for which, labelled in enumerate(hands) if (found := locate(image, labelled))}
    wanted = per_image if usable else 0
    for title, names in (("malformed", list(DEFECTS)), ("control", [*CONTROLS] * 2)):
        made = 0
        for name in rng.permutation(names).tolist():
            which = int(rng.choice(list(usable))) if made < wanted else -1
            edited = edit_hand(image, boxes[which], usable[which], name, rng) if which >= 0 else None
            if edited is None:
                continue
            changed, classes = boxes.copy(), well_formed.copy()
            changed[which], classes[which] = edited[1], int(name in DEFECTS)
            picture = take_crop(edited[0], changed, classes, which, px, rng)
            if picture is not None:
                made += 1
                yield f"{title}-{name}", picture
        wanted = made


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings of a run: the folder of photographs, the folder of edited pictures, and how they are made."""

    photos: Path
    out: Path
    per_image: int = 2
    seed: int = 0
    px: int = 256


def make_photo(plan: Plan, relative: str, hands: list[Labelled]) -> Counter[str]:
    """Makes the pictures of one photograph, unless they are there: how many there are of each kind."""
    folder, stem = plan.out / relative.split("/")[0], Path(relative).stem
    facts_path = folder / "facts" / f"{stem}.json"
    if not facts_path.exists():
        bgr = cv2.imread(str(plan.photos / relative))
        if bgr is None:
            raise ValueError(f"cannot read {plan.photos / relative}")
        number = zlib.crc32(relative.encode())
        cv2.setRNGSeed(number & 0x7FFFFFFF)
        rng = np.random.default_rng([plan.seed, number])
        facts: dict[str, str] = {}
        made = pictures_of(np.ascontiguousarray(bgr[..., ::-1]), hands, plan.per_image, plan.px, rng)
        for index, (kind, picture) in enumerate(made):
            facts[f"{stem}_{index}_{kind}"] = kind
            write_picture(picture, folder, f"{stem}_{index}_{kind}", rng)
        facts_path.with_suffix(".part").write_text(json.dumps(facts))
        facts_path.with_suffix(".part").replace(facts_path)
    return Counter(json.loads(facts_path.read_text()).values())


def make_all(plan: Plan, hands: dict[str, list[Labelled]]) -> dict[str, Counter[str]]:
    """Makes every split, photographs in mixed order, so that what is there halfway is a fair sample.

    Returns:
        How many pictures there are of each kind, by split.
    """
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for split in SPLITS:
        for name in ("images", "labels", "facts"):
            (plan.out / split / name).mkdir(parents=True, exist_ok=True)
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(CLASSES))
    folders = "train: train/images\nval: select/images\ntest: test/images\n"
    (plan.out / "data.yaml").write_text(f"{folders}names:\n{names}")
    for relative in tqdm(sorted(hands, key=lambda name: zlib.crc32(name.encode())), unit="photos"):
        counts[relative.split("/")[0]].update(make_photo(plan, relative, hands[relative]))
    return counts


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("photos", "landmarks", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name, value in (("per-image", 2), ("seed", 0), ("px", 256)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    plan = Plan(args.photos, args.out, args.per_image, args.seed, args.px)
    for split, counts in make_all(plan, read_landmarks(args.landmarks)).items():
        tqdm.write(f"{split} {json.dumps(dict(sorted(counts.items())))}")


if __name__ == "__main__":
    main()
