from __future__ import annotations

import numpy as np
import pytest
import torch

from detectors.closer import CloserDetector, merge, square_in
from detectors.detections import Detections

NAMES = ("hand", "malformed_hand", "person")


class _Eyes:
    """Sees bright squares as hands, but only those of 16 px and more in its own square of 64 px.

    A red pixel tells where the person's upper left corner is; the person is 60 px wide and high.
    """

    model_id, class_names, imgsz = "eyes@1", NAMES, 64
    default_conf = dict.fromkeys(NAMES, 0.3)

    def __init__(self) -> None:
        self.looks: list[tuple[int, int]] = []
        self.regions: list[tuple[float, ...]] = []

    def seen_px(self, size_hw: tuple[int, int]) -> int:
        return 64

    def detect(self, images, conf):
        return [self._look(image) for image in images]

    def _look(self, image: np.ndarray) -> Detections:
        self.looks.append(image.shape[:2])
        rows = []
        bright = np.argwhere(image[..., 1] > 200)
        scale = 64 / max(image.shape[:2])
        if len(bright):
            (y1, x1), (y2, x2) = bright.min(0), bright.max(0) + 1
            if (y2 - y1) * scale >= 16:
                rows.append(([x1, y1, x2, y2], 0.9, 0))
        for y, x in np.argwhere((image[..., 0] > 200) & (image[..., 1] < 200)):
            if max(image.shape[:2]) > 70:
                rows.append(([x, y, x + 60, y + 60], 0.8, 2))
        return Detections.of([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])

    def defect_and_presence(self, image, xyxy):
        self.looks.append(tuple(image.shape[2:]))
        self.regions.append(tuple(xyxy))
        return torch.zeros(len(image)), torch.ones(len(image))


def a_person_with_a_hand() -> np.ndarray:
    image = np.zeros((400, 400, 3), np.uint8)
    image[200, 300, 0] = 255
    image[220:240, 320:340, 1] = 255  # 20 px: 3 px in the first look, 17 px in the second
    return image


def test_a_small_hand_of_a_small_person_is_found_where_it_is():
    (found,) = CloserDetector(_Eyes()).detect([a_person_with_a_hand()], 0.3)
    hands = found[found.class_id == 0]
    assert hands.xyxy.tolist() == [[320, 220, 340, 240]]
    assert (found.class_id == 2).sum() == 1, "the person is still there, once"


def test_a_picture_without_anybody_is_looked_at_once():
    eyes = _Eyes()
    CloserDetector(eyes).detect([np.zeros((400, 400, 3), np.uint8)], 0.3)
    assert eyes.looks == [(400, 400)]


def test_a_picture_that_one_look_shows_at_its_size_is_looked_at_once():
    eyes = _Eyes()
    image = np.zeros((110, 110, 3), np.uint8)
    image[10, 10, 0] = 255
    CloserDetector(eyes).detect([image], 0.3)
    assert eyes.looks == [(110, 110)], "75 of 110 px around the person show nothing 1.5 times larger"


def test_no_more_second_looks_than_allowed():
    eyes, image = _Eyes(), np.zeros((1200, 1200, 3), np.uint8)
    image[100:1100:300, 100:1100:300, 0] = 255
    CloserDetector(eyes, most_cuts=2).detect([image], 0.3)
    assert len(eyes.looks) == 3


def test_several_pictures_keep_their_own_finds():
    seen = CloserDetector(_Eyes()).detect([np.zeros((400, 400, 3), np.uint8), a_person_with_a_hand()], 0.3)
    assert [len(found) for found in seen] == [0, 2]


def test_the_energy_of_a_region_is_looked_at_from_close_by():
    eyes = _Eyes()
    CloserDetector(eyes).defect_energy(torch.zeros(1, 3, 400, 400), (320, 220, 340, 240))
    assert eyes.looks == [(64, 64)]
    (x1, y1, x2, y2) = eyes.regions[0]
    assert (x2 - x1, y2 - y1) == (20, 20) and x1 >= 0 and x2 <= 64
    CloserDetector(eyes).defect_energy(torch.zeros(1, 3, 60, 60), (0, 0, 20, 20))
    assert eyes.looks[-1] == (60, 60)


def test_what_the_rim_cuts_off_keeps_the_first_looks_word():
    first = Detections.of([[80, 40, 130, 60], [20, 20, 40, 40]], [0.5, 0.4], [0, 0])
    closer = Detections.of([[80, 40, 100, 60], [20, 20, 41, 40]], [0.9, 0.8], [0, 0])
    found = merge(first, closer, (0, 0, 100, 100), (200, 200))
    assert sorted(map(tuple, found.xyxy.tolist())) == [(20, 20, 41, 40), (80, 40, 130, 60)]


def test_at_the_pictures_own_rim_nothing_is_cut_off():
    closer = Detections.of([[0, 0, 30, 30]], [0.9], [0])
    assert len(merge(Detections.empty(), closer, (0, 0, 100, 100), (200, 200))) == 1


@pytest.mark.parametrize("xyxy", [(0, 0, 10, 10), (390, 390, 400, 400), (150, 0, 260, 400)])
def test_a_square_stays_in_the_picture(xyxy):
    x1, y1, x2, y2 = square_in(xyxy, 100.0, (400, 400))
    assert 0 <= x1 < x2 <= 400 and 0 <= y1 < y2 <= 400 and (x2 - x1, y2 - y1) == (100, 100)
