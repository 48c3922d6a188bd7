"""Masks of the hand and its fingers in a photograph.

Images are uint8 RGB (H, W, 3); points float32 (21, 2) in pixels, x first; masks bool (H, W).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
"""MediaPipe's points of thumb, index, middle, ring and little finger, from the palm to the tip."""
PALM = (0, 1, 2, 5, 9, 13, 17)
"""The points of the palm's outline."""
MAX_HUE_STEP = 16
"""How far a finger's a and b (8-bit Lab) may lie from the palm's; 99.5 % of the fingers are below 15."""
GRABCUT_PX = 320
"""The longer side of the picture that GrabCut works on."""
PALM_BONES = ((0, 1), (1, 2), (0, 5), (5, 9), (9, 13), (13, 17), (0, 17), (0, 9), (0, 13), (2, 5))


def blur(values: NDArray[np.generic], sigma: float) -> Floats:
    """Gaussian blur as float32; the border is replicated."""
    source = np.asarray(values, np.float32)
    return np.asarray(cv2.GaussianBlur(source, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)


def dilate(mask: Mask, radius: float) -> Mask:
    """The mask grown by ``radius`` pixels; shrunk if it is negative."""
    size = 2 * round(abs(radius)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    change = cv2.dilate if radius >= 0 else cv2.erode
    return np.asarray(change(mask.astype(np.uint8), kernel), np.uint8).astype(np.bool_)


def unit(vector: Floats) -> Floats:
    """The vector at length 1."""
    return np.asarray(vector / (np.linalg.norm(vector) + 1e-6), np.float32)


def angle_deg(a: Floats, b: Floats) -> float:
    """The signed angle from ``a`` to ``b`` in (-180, 180], positive from x towards y."""
    return float(np.degrees(np.arctan2(a[0] * b[1] - a[1] * b[0], a[0] * b[0] + a[1] * b[1])))


def palm_size(points: Floats) -> float:
    """The larger of the palm's length and 1.4 times its breadth, in pixels: it hardly depends on the view."""
    length = float(np.linalg.norm(points[9] - points[0]))
    breadth = float(np.linalg.norm(points[17] - points[5]))
    return max(length, 1.4 * breadth)


def is_extended(points: Floats, finger: int) -> bool:
    """True if the finger is straight, seen at its length, and points away from wrist and palm."""
    chain = points[list(FINGERS[finger])]
    bones = np.linalg.norm(np.diff(chain, axis=0), axis=1)
    reach = float(np.linalg.norm(chain[-1] - chain[0]))
    long_enough = bones.sum() > (0.5 if finger == 0 else 0.55) * palm_size(points)
    away = float(np.linalg.norm(chain[-1] - points[0])) > 1.15 * float(np.linalg.norm(chain[1] - points[0]))
    palm = np.ascontiguousarray(points[list(PALM)]).reshape(-1, 1, 2)
    free = finger > 0 or cv2.pointPolygonTest(palm, (float(chain[3, 0]), float(chain[3, 1])), False) < 0
    return bool(reach > 0.94 * bones.sum() and long_enough and away and free and bones.min() > 0.12 * reach)


def distance_to_bones(points: Floats, bones: list[tuple[int, int]], shape_hw: tuple[int, int]) -> Floats:
    """Float32 (H, W): the distance of each pixel from the nearest of the segments between two points."""
    canvas = np.full(shape_hw, 255, np.uint8)
    for a, b in bones:
        start, end = (tuple(round(float(v) * 16) for v in points[i]) for i in (a, b))
        cv2.line(canvas, start, end, 0, 1, cv2.LINE_8, 4)
    return np.asarray(cv2.distanceTransform(canvas, cv2.DIST_L2, 5), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Hand:
    """One hand in a photograph, cut into its fingers.

    Attributes:
        image: uint8 (H, W, 3), the surroundings of the hand.
        points: float32 (21, 2), MediaPipe's points in this image.
        skin: bool (H, W), the hand and what goes on from it (the forearm).
        owner: int8 (H, W): the finger (0..4) that a hand pixel belongs to, 5 for the palm, -1 elsewhere.
        size: the palm's size in pixels.
    """

    image: Image
    points: Floats
    skin: Mask
    owner: NDArray[np.int8]
    size: float

    @property
    def mask(self) -> Mask:
        """Bool (H, W): the hand without the forearm."""
        return np.asarray(self.owner >= 0, np.bool_)

    def chain(self, finger: int) -> Floats:
        """Float32 (4, 2): the finger's points from the palm to the tip."""
        return np.asarray(self.points[list(FINGERS[finger])], np.float32)

    def knuckle(self, finger: int) -> Floats:
        """Float32 (2,): the joint that the finger turns about; the thumb's first bone lies in the palm."""
        return np.asarray(self.chain(finger)[0 if finger else 1], np.float32)

    def direction(self, finger: int) -> Floats:
        """The unit vector along the finger."""
        chain = self.chain(finger)
        return unit(chain[3] - chain[0])

    def along(self, finger: int, joint: int = 0) -> Floats:
        """Float32 (H, W): how far a pixel lies beyond a joint of the finger, in lengths of the next bone."""
        chain = self.chain(finger)
        bone = chain[joint + 1] - chain[joint]
        rows, cols = np.mgrid[: self.owner.shape[0], : self.owner.shape[1]].astype(np.float32)
        reach = (cols - chain[joint, 0]) * bone[0] + (rows - chain[joint, 1]) * bone[1]
        return np.asarray(reach / (bone @ bone + 1e-6), np.float32)

    def finger_mask(self, finger: int, beyond: float = 0.0, joint: int = 0) -> Mask:
        """The finger's pixels beyond the given share of the bone that starts at ``joint``."""
        return np.asarray((self.owner == finger) & (self.along(finger, joint) > beyond), np.bool_)

    def half_width(self, finger: int) -> float:
        """Half the finger's breadth in pixels, measured around its middle joint."""
        depth = cv2.distanceTransform((self.owner == finger).astype(np.uint8), cv2.DIST_L2, 5)
        x, y = np.rint(self.chain(finger)[2]).astype(int)
        reach = max(2, round(0.06 * self.size))
        around = depth[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        return float(around.max()) if around.size else 0.0


def has_one_colour(image: Image, points: Floats) -> bool:
    """True if the stretched fingers have the palm's hue: otherwise the points do not lie on them."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    palm = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(palm, [np.rint(points[list(PALM)]).astype(np.int32)], 1)
    if not palm.any():
        return False
    base = np.median(lab[palm > 0], axis=0)
    for index, finger in enumerate(FINGERS):
        outer = [(finger[1], finger[2]), (finger[2], finger[3])]
        bones = distance_to_bones(points, outer, (image.shape[0], image.shape[1]))
        core = lab[bones < max(1.0, 0.03 * palm_size(points))].reshape(-1, 3)
        step = np.median(core, axis=0) - base if is_extended(points, index) else np.zeros(3)
        if np.hypot(step[1], step[2]) > MAX_HUE_STEP:
            return False
    return True


def _marks(points: Floats, shape_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """GrabCut's starting marks: hand along the bones, perhaps hand around them, not hand far away."""
    size = palm_size(points)
    fingers = [(f[i], f[i + 1]) for f in FINGERS for i in range(3)]
    palm_near = distance_to_bones(points, list(PALM_BONES), shape_hw) / 1.3
    near = np.minimum(distance_to_bones(points, fingers, shape_hw), palm_near)
    marks = np.full(shape_hw, cv2.GC_BGD, np.uint8)
    marks[near < 0.28 * size] = cv2.GC_PR_BGD
    marks[near < 0.125 * size] = cv2.GC_PR_FGD
    wrist, up = points[0], unit(points[9] - points[0])
    rows, cols = np.mgrid[: shape_hw[0], : shape_hw[1]].astype(np.float32)
    below = (cols - wrist[0]) * up[0] + (rows - wrist[1]) * up[1] < -0.02 * size
    beside = np.abs((cols - wrist[0]) * up[1] - (rows - wrist[1]) * up[0]) < 0.9 * size
    marks[below & beside & (near >= 0.125 * size)] = cv2.GC_PR_BGD
    palm = np.zeros(shape_hw, np.uint8)
    cv2.fillPoly(palm, [np.rint(points[list(PALM)]).astype(np.int32)], 1)
    marks[palm > 0] = cv2.GC_FGD
    marks[near < 0.045 * size] = cv2.GC_FGD
    return marks


def segment(image: Image, points: Floats) -> Mask | None:
    """The skin of hand and arm, by GrabCut started from the hand's bones; None if it finds none."""
    height, width = image.shape[:2]
    margin = 0.7 * palm_size(points)
    x0, y0 = np.maximum(points.min(axis=0) - margin, 0).astype(int)
    x1, y1 = np.ceil(points.max(axis=0) + margin).astype(int)
    crop = image[y0:y1, x0:x1]
    full = (crop.shape[1], crop.shape[0])
    scale = min(1.0, GRABCUT_PX / max(full))
    small = np.asarray(cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    factor = np.array([small.shape[1] / full[0], small.shape[0] / full[1]], np.float32)
    marks = _marks((points - np.array([x0, y0], np.float32)) * factor, small.shape[:2])
    try:
        bgr = np.ascontiguousarray(small[..., ::-1])
        cv2.grabCut(bgr, marks, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # it refuses pictures without any sample of one of the two
        return None
    found = ((marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)).astype(np.float32)
    smooth = blur(cv2.resize(found, full, interpolation=cv2.INTER_LINEAR), max(0.7, 0.01 * palm_size(points)))
    mask = np.zeros((height, width), np.bool_)
    mask[y0:y1, x0:x1] = smooth > 0.5
    return mask


def find_hand(image: Image, points: Floats) -> Hand | None:
    """The hand cut into fingers; None if it is too small, or GrabCut's mask does not fit the points."""
    size, shape = palm_size(points), (image.shape[0], image.shape[1])
    if size < 28 or not has_one_colour(image, points):
        return None
    skin = segment(image, points)
    if skin is None:
        return None
    bones = [[(f[i], f[i + 1]) for i in range(1 if f[0] == 1 else 0, 3)] for f in FINGERS]
    reach = np.stack(
        [distance_to_bones(points, b, shape) for b in bones]
        + [distance_to_bones(points, list(PALM_BONES), shape)]
    )
    owner = reach.argmin(axis=0).astype(np.int8)
    owner[~skin | (reach[:5].min(axis=0) > 0.2 * size) & (reach[5] > 0.3 * size)] = -1
    model = reach.min(axis=0) < 0.09 * size
    extra = (owner >= 0) & (owner < 5) & (reach[:5].min(axis=0) > 0.14 * size)
    if (skin & model).sum() < 0.85 * model.sum() or extra.sum() > 0.12 * model.sum():
        return None
    return Hand(image, points, skin, owner, size)
