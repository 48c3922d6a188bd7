"""Records of a scene being made: the version to draw, its view, a dressed person, the rendered shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.anatomy.bodies import Floats, PosedBody
from training.anatomy.renderer import Camera, Light, Rendering
from training.anatomy.rig import Rig


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The version of a scene to draw. All versions of one seed differ in nothing else.

    Attributes:
        malformed: the scene is one with a defect.
        with_defect: the defect is drawn; a malformed scene is also drawn without it, for comparison.
        held_out: bodies, poses and patterns that training does not see.
    """

    malformed: bool
    with_defect: bool
    held_out: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """The surroundings of bodies and the camera's place, before the bodies are posed.

    Attributes:
        forward: float32 (3,), the camera's direction.
        fill: share of the frame that the bodies' longer side takes.
        shift: float64 (2,), of the middle, as shares of the frame.
        light: the lamp.
        background: uint8 RGB (size, size, 3).
        words: the caption's facts that are known so far.
    """

    forward: Floats
    fill: float
    shift: NDArray[np.float64]
    light: Light
    background: NDArray[np.uint8]
    words: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DressedPerson:
    """A person with hair and clothes, not posed yet: rig, colours (V, 3) and the caption's facts."""

    rig: Rig
    colours: Floats
    words: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shot:
    """Bodies, the camera that saw them, their rendering, and the caption's facts."""

    bodies: Sequence[PosedBody]
    camera: Camera
    drawn: Rendering
    words: dict[str, str]
