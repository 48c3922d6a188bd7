"""Scenes: labelled, captioned pictures of hands, people, horses and riders, one for each seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.anatomy import hands, horses, persons
from training.anatomy.backgrounds import PLAIN_COLOURS, jittered, outdoors, patterned, plain, with_shadow
from training.anatomy.bodies import PosedBody, rotation
from training.anatomy.captions import caption
from training.anatomy.labels import LabelledPart, labels_of
from training.anatomy.people import People, load_people
from training.anatomy.renderer import Light, Renderer, Rendering, fit_camera
from training.anatomy.rig import Rig
from training.anatomy.shots import DressedPerson, Shot, Variant, View

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
_LEAST_CHANGE = 0.012
_TRIES = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One picture: uint8 RGB (size, size, 3), its caption, its kind and everything labelled in it."""

    image: NDArray[np.uint8]
    caption: str
    kind: str
    parts: tuple[LabelledPart, ...]
    words: dict[str, str] = field(default_factory=dict)

    @property
    def malformed(self) -> bool:
        """True if any part is malformed."""
        return any(part.defect for part in self.parts)


class World:
    """Makes scenes; one per process, as it owns a GL context."""

    def __init__(self, assets: Path, people: Path, size_px: int = 256) -> None:
        self._people: People = load_people(people)
        self._horses = horses.HorseSource(assets / "horse")
        self._renderer = Renderer(size_px)
        self._size_px = size_px
        self._arms: dict[int, Rig] = {}
        self._shoot: Mapping[str, Callable[[np.random.Generator, Variant], Shot]] = {
            "hand": self._hand,
            "person": self._person,
            "horse": self._horse,
            "rider": self._rider,
        }

    def scene(self, seed: int, kind: str, *, malformed: bool, held_out: bool) -> Scene:
        """Makes the scene of a seed. A defect that does not show is drawn again with another seed."""
        for attempt in range(_TRIES):
            seeds = np.random.SeedSequence([seed, attempt, int(held_out)])
            made = self._try(seeds, kind, malformed, held_out)
            if made is not None:
                return made
        raise RuntimeError(f"no visible defect in {_TRIES} tries of seed {seed}, {kind}")

    def _try(self, seeds: np.random.SeedSequence, kind: str, malformed: bool, held_out: bool) -> Scene | None:
        def shoot(with_defect: bool) -> Shot:
            variant = Variant(malformed=malformed, with_defect=with_defect, held_out=held_out)
            return self._shoot[kind](np.random.default_rng(seeds), variant)

        shot = shoot(malformed)
        parts = labels_of(shot.bodies, shot.camera, shot.drawn, self._size_px)
        if malformed and not _shows(parts, shot.drawn, lambda: shoot(False).drawn):
            return None
        text = caption(kind, shot.words, np.random.default_rng(seeds.spawn(1)[0]))
        return Scene(image=shot.drawn.image, caption=text, kind=kind, parts=tuple(parts), words=shot.words)

    def _hand(self, rng: np.random.Generator, variant: Variant) -> Shot:
        person = self._people.choose(rng, variant.held_out)
        if person not in self._arms:
            self._arms[person] = hands.arm_with_hand(self._people.rig(person))
        kind = str(rng.choice(list(hands.DEFECTS)))
        # A malformed scene's pose suits its defect also in the version drawn without it, for comparison. Most
        # well-formed scenes choose their pose in the same way, so that the pose is no clue.
        suited = rng.random() < 0.8 or variant.malformed
        pose = hands.sample_pose(rng, variant.held_out, kind if suited else None)
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
        background, words = self._background(rng, variant.held_out, None)
        body = hands.pose_hand(
            self._arms[person],
            pose,
            skin_colour,
            sleeve_colour if sleeve else None,
            kind if variant.with_defect else None,
            rng,
            tilt,
        )
        if mirrored:
            body = _mirrored(body)
        camera = fit_camera(body.vertices[body.part_id == 0], np.array([0, 0, -1.0], np.float32), fill, shift)
        words |= {"pose": pose.name, "skin": skin, "side": "back" if back else "palm"}
        if sleeve:
            words["sleeve"] = sleeve
        drawn = self._renderer.render([body], camera, light, background)
        return Shot(bodies=[body], camera=camera, drawn=drawn, words=words)

    def _dressed(self, rng: np.random.Generator, held_out: bool) -> DressedPerson:
        index = self._people.choose(rng, held_out)
        woman = self._people.phenotypes[index][0] < 0.5
        shirt, trousers = (str(rng.choice(list(CLOTHES))) for _ in range(2))
        rig = self._people.rig(index)
        colours, rest = persons.dress(
            rig,
            skin_colour=jittered(SKINS[str(rng.choice(list(SKINS)))], rng, 0.03),
            hair=jittered(_HAIR[int(rng.integers(len(_HAIR)))], rng, 0.03),
            shirt=jittered(CLOTHES[shirt], rng),
            trousers=jittered(CLOTHES[trousers], rng),
            shoes=jittered((0.22, 0.17, 0.14), rng, 0.1),
            long_sleeves=bool(rng.random() < 0.5),
            long_legs=bool(rng.random() < 0.75),
            long_hair=bool(rng.random() < (0.8 if woman else 0.1)),
        )
        words = {"who": "woman" if woman else "man", "shirt": shirt, "trousers": trousers}
        return DressedPerson(rig=replace(rig, rest=rest), colours=colours, words=words)

    def _person(self, rng: np.random.Generator, variant: Variant) -> Shot:
        person = self._dressed(rng, variant.held_out)
        pose = str(rng.choice(persons.POSES))
        wanted = persons.directions(pose, rng, variant.held_out)
        defect = (str(rng.choice(persons.LIMBS)), str(rng.choice(list(persons.DEFECTS))))
        turn = rng.normal(0, 0.55) + (np.pi if rng.random() < 0.15 else 0)
        pitch, fill, shift = rng.uniform(-0.12, 0.05), rng.uniform(0.78, 0.92), rng.uniform(-0.03, 0.03, 2)
        light = _light(rng)
        background, words = self._background(rng, variant.held_out, rng.uniform(0.55, 0.75))
        root = np.eye(4, dtype=np.float32)
        root[:3, :3] = rotation([0, 1, 0], turn)
        shown = defect if variant.with_defect else None
        body = persons.pose_person(person.rig, person.colours, wanted, shown, rng, root)
        view = View(
            forward=np.array([0, np.sin(pitch), -np.cos(pitch)], np.float32),
            fill=fill,
            shift=shift,
            light=light,
            background=background,
            words=person.words | {"pose": pose} | words,
        )
        return self._whole([body], view)

    def _horse(self, rng: np.random.Generator, variant: Variant) -> Shot:
        view = self._horse_view(rng, variant.held_out)
        # Drawn in any case, so that the version without the defect is the same horse.
        defect = str(rng.choice(horses.DEFECTS))
        shown = defect if variant.with_defect else None
        return self._whole([self._horses.sample(rng, defect=shown, held_out=variant.held_out)], view)

    def _rider(self, rng: np.random.Generator, variant: Variant) -> Shot:
        view = self._horse_view(rng, variant.held_out)
        person = self._dressed(rng, variant.held_out)
        on_person = bool(rng.random() < 0.35)
        on_limb = (str(rng.choice(persons.LIMBS)), str(rng.choice(list(persons.DEFECTS))))
        wanted = persons.riding(rng)
        person_rng, horse_rng = rng.spawn(2)
        on_horse = str(rng.choice(horses.DEFECTS))
        horse, saddle = self._horses.sample_with_saddle(
            horse_rng,
            defect=on_horse if variant.with_defect and not on_person else None,
            held_out=variant.held_out,
        )
        seat = np.eye(4, dtype=np.float32)
        hips = (person.rig.head("upperleg01.L") + person.rig.head("upperleg01.R")) / 2
        seat[:3, 3] = -hips + [0, 0.05, 0]
        root = saddle.astype(np.float32) @ seat
        shown = on_limb if variant.with_defect and on_person else None
        rider = persons.pose_person(person.rig, person.colours, wanted, shown, person_rng, root)
        return self._whole([horse, rider], replace(view, words=view.words | person.words))

    def _horse_view(self, rng: np.random.Generator, held_out: bool) -> View:
        side = rng.random() < 0.65
        yaw = rng.choice([-1, 1]) * (np.pi / 2 + rng.normal(0, 0.16 if side else 0.45))
        pitch = rng.uniform(-0.14, 0.02)
        forward = np.array(
            [np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], np.float32
        )
        fill, shift = rng.uniform(0.78, 0.92), rng.uniform(-0.03, 0.03, 2)
        background, words = self._background(rng, held_out, rng.uniform(0.5, 0.7))
        return View(
            forward=forward,
            fill=fill,
            shift=shift,
            light=_light(rng),
            background=background,
            words=words | {"view": "side" if side else "angle"},
        )

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

    def _whole(self, bodies: Sequence[PosedBody], view: View) -> Shot:
        points = np.concatenate([b.vertices for b in bodies])
        camera = fit_camera(points, view.forward, view.fill, view.shift)
        low = points[:, 1].min()
        feet = points[points[:, 1] < low + 0.3]
        at = camera.project(
            np.array([[feet[:, 0].mean(), low, feet[:, 2].mean()]], np.float32), self._size_px
        )[0]
        wide = float(np.ptp(camera.project(feet, self._size_px)[:, 0]))
        shaded = with_shadow(view.background, at, (max(wide * 0.6, 14), max(wide * 0.13, 6)), 0.45)
        drawn = self._renderer.render(bodies, camera, view.light, shaded)
        words = view.words
        for body in bodies:
            words = words | body.words
        return Shot(bodies=bodies, camera=camera, drawn=drawn, words=words)


def _shows(parts: Sequence[LabelledPart], drawn: Rendering, without_defect: Callable[[], Rendering]) -> bool:
    """Returns True if a defect is labelled and changes enough of its box to be seen."""
    defect = next((part for part in parts if part.defect), None)
    if defect is None:
        return False
    changed = np.abs(drawn.image.astype(np.int16) - without_defect().image).max(axis=2) > 24
    x1, y1, x2, y2 = (int(v) for v in defect.xyxy)
    area = max((x2 - x1) * (y2 - y1), 1)
    return bool(changed[y1:y2, x1:x2].sum() >= max(_LEAST_CHANGE * area, 25))


def _light(rng: np.random.Generator) -> Light:
    to_light = np.array([rng.uniform(-1, 1), rng.uniform(0.3, 1.2), rng.uniform(0.3, 1.0)])
    warm = rng.uniform(-0.06, 0.06)
    strength = rng.uniform(0.75, 1.0)
    return Light(
        to_light=(to_light / np.linalg.norm(to_light)).astype(np.float32),
        light=(np.array([0.92 + warm, 0.88, 0.86 - warm]) * strength).astype(np.float32),
        sky=(np.array([0.36 - warm, 0.37, 0.42 + warm]) * rng.uniform(0.8, 1.2)).astype(np.float32),
        bounce=np.array([0.17, 0.15, 0.13], np.float32),
        gloss=float(rng.uniform(0.0, 0.08)),
    )


def _mirrored(body: PosedBody) -> PosedBody:
    """Returns the left hand of a right one."""
    return replace(
        body, vertices=(body.vertices * [-1, 1, 1]).astype(np.float32), faces=body.faces[:, ::-1].copy()
    )
