"""One seed in, one labelled picture out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.anatomy import hands, horses, persons
from training.anatomy.backgrounds import PLAIN_COLOURS, jittered, outdoors, patterned, plain, with_shadow
from training.anatomy.bodies import Floats, PosedBody, rotation
from training.anatomy.captions import caption
from training.anatomy.people import People, load_people
from training.anatomy.renderer import Camera, Light, Renderer, Rendering, fit_camera
from training.anatomy.rig import Rig

KINDS = ("hand", "person", "horse", "rider")
SKINS: dict[str, tuple[float, float, float]] = {
    "pale": (0.94, 0.78, 0.70),
    "light": (0.88, 0.69, 0.57),
    "tan": (0.78, 0.57, 0.43),
    "brown": (0.58, 0.39, 0.28),
    "dark": (0.38, 0.25, 0.18),
}
CLOTHES: dict[str, tuple[float, float, float]] = {
    "red": (0.78, 0.14, 0.14),
    "blue": (0.16, 0.28, 0.72),
    "green": (0.16, 0.50, 0.22),
    "yellow": (0.92, 0.78, 0.16),
    "white": (0.92, 0.92, 0.90),
    "black": (0.10, 0.10, 0.11),
    "grey": (0.50, 0.51, 0.53),
    "orange": (0.92, 0.48, 0.10),
    "purple": (0.45, 0.20, 0.60),
    "pink": (0.92, 0.55, 0.65),
    "brown": (0.42, 0.27, 0.17),
}
_HAIR = ((0.10, 0.08, 0.07), (0.30, 0.19, 0.11), (0.55, 0.36, 0.18), (0.82, 0.68, 0.40), (0.55, 0.53, 0.52))
_LEAST_VISIBLE_PX = {"hand": 500, "arm": 70, "leg": 70}
_LEAST_CHANGE = 0.012
_TRIES = 12


@dataclass(frozen=True, slots=True)
class LabelledPart:
    """One box of the truth. ``class_name`` is the detector's; ``defect`` says what was done."""

    class_name: str
    xyxy: tuple[float, float, float, float]
    kind: str
    defect: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One picture: uint8 RGB (size, size, 3), its caption, its kind and everything labelled in it."""

    image: NDArray[np.uint8]
    caption: str
    kind: str
    parts: tuple[LabelledPart, ...]
    words: dict[str, str] = field(default_factory=dict)

    @property
    def malformed(self) -> bool:
        """Whether anything in it is."""
        return any(part.defect for part in self.parts)


Shot = tuple[list[PosedBody], Camera, Rendering, dict[str, str]]
"""Bodies, the camera that saw them, what it saw, and the caption's facts."""


class World:
    """Makes scenes; one per process, as it owns a GL context."""

    def __init__(self, assets: Path, people: Path, size_px: int = 256) -> None:
        self._people: People = load_people(people)
        self._horses = horses.HorseSource(assets / "horse")
        self._renderer = Renderer(size_px)
        self._size_px = size_px
        self._arms: dict[int, Rig] = {}

    def scene(self, seed: int, kind: str, *, malformed: bool, held_out: bool) -> Scene:
        """The scene of a seed. A defect that does not show is drawn again with another seed."""
        for attempt in range(_TRIES):
            seeds = np.random.SeedSequence([seed, attempt, int(held_out)])
            made = self._try(seeds, kind, malformed, held_out)
            if made is not None:
                return made
        raise RuntimeError(f"no visible defect in {_TRIES} tries of seed {seed}, {kind}")

    def _try(self, seeds: np.random.SeedSequence, kind: str, malformed: bool, held_out: bool) -> Scene | None:
        def build(defective: bool) -> Shot:
            rng = np.random.default_rng(seeds)
            shoot: Callable[..., Shot] = getattr(self, f"_{kind}")
            return shoot(rng, malformed, defective, held_out)

        bodies, camera, drawn, words = build(malformed)
        parts = _labels(bodies, camera, drawn, self._size_px)
        if malformed and not self._shows(parts, drawn, build):
            return None
        text = caption(kind, words, np.random.default_rng(seeds.spawn(1)[0]))
        return Scene(drawn.image, text, kind, tuple(parts), words)

    def _shows(self, parts: Sequence[LabelledPart], drawn: Rendering, build: Callable[[bool], Shot]) -> bool:
        """Whether the defect is in the picture at all, and changes enough of it to be seen."""
        if not any(part.defect for part in parts):
            return False
        whole = build(False)[2]
        changed = np.abs(drawn.image.astype(np.int16) - whole.image).max(axis=2) > 24
        x1, y1, x2, y2 = (int(v) for v in next(p for p in parts if p.defect).xyxy)
        area = max((x2 - x1) * (y2 - y1), 1)
        return bool(changed[y1:y2, x1:x2].sum() >= max(_LEAST_CHANGE * area, 25))

    def _hand(self, rng: np.random.Generator, spoilt: bool, malformed: bool, held_out: bool) -> Shot:
        person = self._people.choose(rng, held_out)
        if person not in self._arms:
            self._arms[person] = hands.arm_with_hand(self._people.rig(person))
        kind = str(rng.choice(list(hands.DEFECTS)))
        # A spoilt scene's pose suits its defect also in the version drawn without it, for comparison. Most
        # well-formed scenes choose their pose in the same way, so that the pose is no clue.
        suited = rng.random() < 0.8 or spoilt
        pose = hands.sample_pose(rng, held_out, kind if suited else None)
        skin = str(rng.choice(list(SKINS)))
        sleeve = str(rng.choice(list(CLOTHES))) if rng.random() < 0.5 else None
        back = rng.random() < 0.5
        tilt = rotation([1, 0, 0], rng.uniform(-0.25, 0.25)) @ rotation(
            [0, 1, 0], (np.pi if back else 0) + rng.uniform(-0.45, 0.45)
        )
        tilt = rotation([0, 0, 1], rng.normal(0, 0.22)) @ tilt
        mirrored = rng.random() < 0.5
        fill, shift = rng.uniform(0.62, 0.86), rng.uniform(-0.05, 0.05, 2)
        skin_colour, sleeve_colour = jittered(SKINS[skin], rng, 0.03), jittered(CLOTHES[sleeve or "red"], rng)
        light = _light(rng)
        background, words = self._background(rng, held_out, None)
        body = hands.pose_hand(
            self._arms[person],
            pose,
            skin_colour,
            sleeve_colour if sleeve else None,
            kind if malformed else None,
            rng,
            tilt,
        )
        if mirrored:
            body = _mirrored(body)
        camera = fit_camera(body.vertices[body.part_id == 0], np.array([0, 0, -1.0], np.float32), fill, shift)
        words |= {"pose": pose.name, "skin": skin, "side": "back" if back else "palm"}
        if sleeve:
            words["sleeve"] = sleeve
        return [body], camera, self._renderer.render([body], camera, light, background), words

    def _dressed(self, rng: np.random.Generator, held_out: bool) -> tuple[Rig, Floats, dict[str, str]]:
        index = self._people.choose(rng, held_out)
        woman = self._people.phenotypes[index][0] < 0.5
        shirt, trousers = (str(rng.choice(list(CLOTHES))) for _ in range(2))
        rig = self._people.rig(index)
        colours, rest = persons.dress(
            rig,
            jittered(SKINS[str(rng.choice(list(SKINS)))], rng, 0.03),
            jittered(_HAIR[int(rng.integers(len(_HAIR)))], rng, 0.03),
            jittered(CLOTHES[shirt], rng),
            jittered(CLOTHES[trousers], rng),
            jittered((0.22, 0.17, 0.14), rng, 0.1),
            bool(rng.random() < 0.5),
            bool(rng.random() < 0.75),
            bool(rng.random() < (0.8 if woman else 0.1)),
        )
        words = {"who": "woman" if woman else "man", "shirt": shirt, "trousers": trousers}
        return replace(rig, rest=rest), colours, words

    def _person(self, rng: np.random.Generator, spoilt: bool, malformed: bool, held_out: bool) -> Shot:
        rig, colours, words = self._dressed(rng, held_out)
        words["pose"] = str(rng.choice(persons.POSES))
        wanted = persons.directions(words["pose"], rng, held_out)
        defect = (str(rng.choice(persons.LIMBS)), str(rng.choice(list(persons.DEFECTS))))
        turn = rng.normal(0, 0.55) + (np.pi if rng.random() < 0.15 else 0)
        pitch, fill, shift = rng.uniform(-0.12, 0.05), rng.uniform(0.78, 0.92), rng.uniform(-0.03, 0.03, 2)
        light = _light(rng)
        background, more = self._background(rng, held_out, rng.uniform(0.55, 0.75))
        root = np.eye(4, dtype=np.float32)
        root[:3, :3] = rotation([0, 1, 0], turn)
        body = persons.pose_person(rig, colours, wanted, defect if malformed else None, rng, root)
        forward = np.array([0, np.sin(pitch), -np.cos(pitch)], np.float32)
        return self._whole([body], forward, fill, shift, light, background, words | more)

    def _horse(self, rng: np.random.Generator, spoilt: bool, malformed: bool, held_out: bool) -> Shot:
        forward, words, fill, shift, light, background = self._horse_view(rng, held_out)
        # Drawn in any case, so that the version without the defect is the same horse.
        defect = str(rng.choice(horses.DEFECTS))
        body = self._horses.sample(rng, defect=defect if malformed else None, held_out=held_out)
        return self._whole([body], forward, fill, shift, light, background, words | body.words)

    def _rider(self, rng: np.random.Generator, spoilt: bool, malformed: bool, held_out: bool) -> Shot:
        forward, words, fill, shift, light, background = self._horse_view(rng, held_out)
        rig, colours, more = self._dressed(rng, held_out)
        on_person = bool(rng.random() < 0.35)
        limb, kind = str(rng.choice(persons.LIMBS)), str(rng.choice(list(persons.DEFECTS)))
        wanted = persons.riding(rng)
        person_rng, horse_rng = rng.spawn(2)
        on_horse = str(rng.choice(horses.DEFECTS))
        defect = on_horse if malformed and not on_person else None
        horse, saddle = self._horses.sample_with_saddle(horse_rng, defect=defect, held_out=held_out)
        seat = np.eye(4, dtype=np.float32)
        hips = (rig.head("upperleg01.L") + rig.head("upperleg01.R")) / 2
        seat[:3, 3] = -hips + [0, 0.05, 0]
        rider = persons.pose_person(
            rig,
            colours,
            wanted,
            (limb, kind) if malformed and on_person else None,
            person_rng,
            saddle.astype(np.float32) @ seat,
        )
        return self._whole(
            [horse, rider], forward, fill, shift, light, background, words | more | horse.words
        )

    def _horse_view(
        self, rng: np.random.Generator, held_out: bool
    ) -> tuple[Floats, dict[str, str], float, NDArray[np.float64], Light, NDArray[np.uint8]]:
        side = rng.random() < 0.65
        yaw = rng.choice([-1, 1]) * (np.pi / 2 + rng.normal(0, 0.16 if side else 0.45))
        pitch = rng.uniform(-0.14, 0.02)
        forward = np.array(
            [np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], np.float32
        )
        fill, shift = rng.uniform(0.78, 0.92), rng.uniform(-0.03, 0.03, 2)
        background, words = self._background(rng, held_out, rng.uniform(0.5, 0.7))
        return forward, words | {"view": "side" if side else "angle"}, fill, shift, _light(rng), background

    def _background(
        self, rng: np.random.Generator, held_out: bool, horizon: float | None
    ) -> tuple[NDArray[np.uint8], dict[str, str]]:
        kind = rng.random()
        if kind < 0.15:
            return patterned(self._size_px, rng, held_out), {}
        if horizon is not None and kind < 0.6:
            return outdoors(self._size_px, horizon, rng), {}
        name = str(rng.choice(list(PLAIN_COLOURS)))
        return plain(self._size_px, jittered(PLAIN_COLOURS[name], rng), rng), {"background": name}

    def _whole(
        self,
        bodies: list[PosedBody],
        forward: Floats,
        fill: float,
        shift: NDArray[np.float64],
        light: Light,
        background: NDArray[np.uint8],
        words: dict[str, str],
    ) -> Shot:
        points = np.concatenate([b.vertices for b in bodies])
        camera = fit_camera(points, forward, fill, shift)
        low = points[:, 1].min()
        feet = points[points[:, 1] < low + 0.3]
        at = camera.project(
            np.array([[feet[:, 0].mean(), low, feet[:, 2].mean()]], np.float32), self._size_px
        )[0]
        wide = float(np.ptp(camera.project(feet, self._size_px)[:, 0]))
        shaded = with_shadow(background, at, (max(wide * 0.6, 14), max(wide * 0.13, 6)), 0.45)
        return bodies, camera, self._renderer.render(bodies, camera, light, shaded), words


def _light(rng: np.random.Generator) -> Light:
    to_light = np.array([rng.uniform(-1, 1), rng.uniform(0.3, 1.2), rng.uniform(0.3, 1.0)])
    warm = rng.uniform(-0.06, 0.06)
    strength = rng.uniform(0.75, 1.0)
    return Light(
        (to_light / np.linalg.norm(to_light)).astype(np.float32),
        (np.array([0.92 + warm, 0.88, 0.86 - warm]) * strength).astype(np.float32),
        (np.array([0.36 - warm, 0.37, 0.42 + warm]) * rng.uniform(0.8, 1.2)).astype(np.float32),
        np.array([0.17, 0.15, 0.13], np.float32),
        float(rng.uniform(0.0, 0.08)),
    )


def _mirrored(body: PosedBody) -> PosedBody:
    """The left hand of a right one."""
    return replace(
        body, vertices=(body.vertices * [-1, 1, 1]).astype(np.float32), faces=body.faces[:, ::-1].copy()
    )


def _labels(
    bodies: Sequence[PosedBody], camera: Camera, drawn: Rendering, size_px: int
) -> list[LabelledPart]:
    labels: list[LabelledPart] = []
    first = 0
    for number, body in enumerate(bodies):
        for index, part in enumerate(body.parts):
            name = "hand" if part.kind == "hand" else "limb"
            box = _visible_box(drawn.part_map == first + index, _LEAST_VISIBLE_PX[part.kind])
            if part.ghost is not None:
                box = _clipped(camera.project(part.ghost, size_px), size_px)
            if box is not None and part.beside:
                box = _widened(box, part.beside, size_px)
            if box is not None:
                labels.append(
                    LabelledPart(f"malformed_{name}" if part.defect else name, box, part.kind, part.defect)
                )
        first += len(body.parts)
        whole = _visible_box(drawn.body_map == number, 200)
        if body.kind != "hand" and whole is not None:
            labels.append(LabelledPart(body.kind, whole, "body", None))
    return labels


def _visible_box(seen: NDArray[np.bool_], least_px: int) -> tuple[float, float, float, float] | None:
    if int(seen.sum()) < least_px:
        return None
    ys, xs = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1)


def _widened(
    box: tuple[float, float, float, float], by: float, size_px: int
) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box
    more = by * (y2 - y1)
    return max(x1 - more, 0.0), y1, min(x2 + more, float(size_px)), y2


def _clipped(points: Floats, size_px: int) -> tuple[float, float, float, float] | None:
    low, high = np.clip(points.min(axis=0), 0, size_px), np.clip(points.max(axis=0), 0, size_px)
    if (high - low).min() < 6:
        return None
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
