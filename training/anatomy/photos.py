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

from training.anatomy.photo_edits import CONTROLS, DEFECTS, Edited
from training.anatomy.photo_masks import Hand, Image, blur, dilate, find_hand, is_extended

Rng = np.random.Generator
Box = NDArray[np.float32]

CLASSES = ("hand", "malformed_hand", "limb", "malformed_limb", "person", "horse")
FILL = (0.35, 0.95)
"""The share of the picture's side that the hand's box takes up."""
MIN_VISIBLE = 0.6
MIN_SIDE_PX = 16
"""Smaller boxes are slips of the labelling."""
MARGIN = 0.6
"""How far around its box a hand is cut out for the edit, in sides of the box."""
MIN_CHANGED = {"missing": 0.025, "doubled": 0.02, "bent": 0.03, "fused": 0.022, "long": 0.032, "short": 0.022}
"""A defect must add or remove at least this share of the box's area, in pixels that plainly change colour."""
PLAIN_STEP = 28
MAX_HARM = 0.012
"""A control may change at most this share of the hand's inside plainly."""
PNG_SHARE = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One hand of a photograph: its box (xyxy, pixels) and MediaPipe's points, float32 (21, 2), or None."""

    box: Box
    points: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A finished crop: image uint8 RGB (px, px, 3), boxes float32 (N, 4) in its pixels, class ids (N,)."""

    image: Image
    boxes: Box
    classes: NDArray[np.int64]


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


def choose_crop(boxes: Box, main: int, size_hw: tuple[int, int], rng: Rng) -> tuple[int, int, int] | None:
    """A square around the main hand that cuts no other badly: x0, y0, side. It may pass the image's edge."""
    height, width = size_hw
    box = boxes[main]
    longer = float(max(box[2] - box[0], box[3] - box[1]))
    for _ in range(60):
        side = longer / float(rng.uniform(*FILL))
        side = int(min(side, max(min(height, width), longer / FILL[1] + 1)))
        corner: list[int] = []
        for low, high, limit in ((box[0], box[2], width), (box[1], box[3], height)):
            if limit <= side:
                corner.append(-((side - limit) // 2))
            else:
                start, stop = max(0.0, float(high) - side), min(float(low), limit - side)
                corner.append(int(min(start, stop) + rng.random() * max(0.0, stop - start)))
        seen = visible_share(boxes, (corner[0], corner[1], side))
        if seen[main] > 0.97 and not ((seen > 0.02) & (seen < MIN_VISIBLE)).any():
            return corner[0], corner[1], side
    return None


def visible_share(boxes: Box, crop: tuple[int, int, int]) -> NDArray[np.float32]:
    """The share of each box's area inside the crop, (N,)."""
    low = np.array([crop[0], crop[1]], np.float32)
    inner = np.minimum(boxes[:, 2:], low + crop[2]) - np.maximum(boxes[:, :2], low)
    return np.asarray(
        np.clip(inner, 0, None).prod(axis=1) / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-6),
        np.float32,
    )


def take_crop(
    image: Image, boxes: Box, classes: NDArray[np.int64], main: int, px: int, rng: Rng
) -> Picture | None:
    """A square around the main hand with all hands in it labelled; None if every crop cuts another hand."""
    crop = choose_crop(boxes, main, image.shape[:2], rng)
    if crop is None:
        return None
    x0, y0, side = crop
    canvas = np.full((side, side, 3), 114, np.uint8)
    part = image[max(0, y0) : y0 + side, max(0, x0) : x0 + side]
    top, left = max(0, -y0), max(0, -x0)
    canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
    how = cv2.INTER_AREA if side > px else cv2.INTER_CUBIC
    keep = visible_share(boxes, crop) >= MIN_VISIBLE
    moved = np.clip((boxes[keep] - np.array([x0, y0, x0, y0], np.float32)) * (px / side), 0, px)
    return Picture(
        np.asarray(cv2.resize(canvas, (px, px), interpolation=how), np.uint8),
        moved.astype(np.float32),
        classes[keep],
    )


def write_picture(picture: Picture, folder: Path, name: str, rng: Rng) -> None:
    """Writes ``images/<name>.jpg`` or ``.png`` and the YOLO labels."""
    bgr = np.ascontiguousarray(picture.image[..., ::-1])
    if rng.random() < PNG_SHARE:
        cv2.imwrite(str(folder / "images" / f"{name}.png"), bgr)
    else:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(88, 98))]
        cv2.imwrite(str(folder / "images" / f"{name}.jpg"), bgr, quality)
    px = picture.image.shape[0]
    rows = []
    for box, kind in zip(picture.boxes / px, picture.classes, strict=True):
        centre, extent = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        rows.append(f"{kind} {centre[0]:.6f} {centre[1]:.6f} {extent[0]:.6f} {extent[1]:.6f}\n")
    (folder / "labels" / f"{name}.txt").write_text("".join(rows))


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


def make_split(
    photos: Path, split: str, hands: dict[str, list[Labelled]], out: Path, per_image: int, seed: int, px: int
) -> Counter[str]:
    """Makes the pictures of one split; returns how many there are of each kind."""
    folder, counts = out / split, Counter[str]()
    for name in ("images", "labels", "facts"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for relative in tqdm(sorted(h for h in hands if h.startswith(f"{split}/")), desc=split):
        stem = Path(relative).stem
        facts_path = folder / "facts" / f"{stem}.json"
        if not facts_path.exists():
            bgr = cv2.imread(str(photos / relative))
            if bgr is None:
                raise ValueError(f"cannot read {photos / relative}")
            number = zlib.crc32(relative.encode())
            cv2.setRNGSeed(number & 0x7FFFFFFF)
            rng = np.random.default_rng([seed, number])
            facts: dict[str, str] = {}
            image = np.ascontiguousarray(bgr[..., ::-1])
            for index, (kind, picture) in enumerate(pictures_of(image, hands[relative], per_image, px, rng)):
                facts[f"{stem}_{index}_{kind}"] = kind
                write_picture(picture, folder, f"{stem}_{index}_{kind}", rng)
            facts_path.write_text(json.dumps(facts))
        counts.update(json.loads(facts_path.read_text()).values())
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
    hands = read_landmarks(args.landmarks)
    for split in ("train", "select", "test"):
        counts = make_split(args.photos, split, hands, args.out, args.per_image, args.seed, args.px)
        tqdm.write(f"{split} {json.dumps(dict(sorted(counts.items())))}")
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(CLASSES))
    splits = "train: train/images\nval: select/images\ntest: test/images\n"
    (args.out / "data.yaml").write_text(f"{splits}names:\n{names}")


if __name__ == "__main__":
    main()
