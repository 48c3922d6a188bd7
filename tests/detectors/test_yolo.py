from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from detectors.body_parts import CLASS_NAMES
from detectors.protocols import ModelLoadError
from detectors.yolo import YoloDefaults, YoloDetector, _threads_kept, read_defaults
from tests.tiny import DETECTOR_DEFAULTS, build_tiny_detector


@pytest.fixture(scope="module")
def model_file(tmp_path_factory) -> Path:
    """A detector of random weights that finds something in everything."""
    folder = tmp_path_factory.mktemp("models") / "detector"
    return build_tiny_detector(folder, sees_everything=True) / "detector.pt"


@pytest.fixture(scope="module")
def detector(model_file) -> YoloDetector:
    return YoloDetector.load(model_file)


def noise(*size_hw: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (*size_hw, 3), np.uint8)


def test_names_thresholds_and_id_come_from_the_files(detector):
    assert detector.class_names == CLASS_NAMES
    assert detector.default_conf == DETECTOR_DEFAULTS["conf"]
    assert detector.imgsz == DETECTOR_DEFAULTS["imgsz"]
    name, digest = detector.model_id.split("@")
    assert name == "detector.pt"
    assert len(digest) == 12


def test_a_class_that_is_not_named_gets_the_general_threshold():
    detector = YoloDetector(_Seen(), "seen@1", YoloDefaults(conf={"foot": 0.9}))
    assert detector.default_conf == {"hand": YoloDefaults().other_conf}


def test_a_model_of_its_own_gets_general_defaults(model_file, tmp_path):
    shutil.copy(model_file, tmp_path / "custom.pt")
    assert read_defaults(tmp_path).imgsz == 640
    assert YoloDetector.load(tmp_path / "custom.pt").default_conf["hand"] == 0.35


def test_boxes_do_not_depend_on_the_batch(detector):
    images = [noise(64, 64), noise(100, 37, seed=1), noise(20, 300, seed=2), noise(64, 64, seed=3)]
    together = detector.detect(images, 0.001)
    assert sum(map(len, together)) > 0
    for image, found in zip(images, together, strict=True):
        (alone,) = detector.detect([image], 0.001)
        assert np.allclose(found.conf, alone.conf, atol=1e-4)
        assert np.allclose(found.xyxy, alone.xyxy, atol=0.1)
        height, width = image.shape[:2]
        assert (found.xyxy >= 0).all()
        assert (found.xyxy <= [width, height, width, height]).all()
        assert (np.diff(found.conf) <= 0).all()


def test_the_same_picture_gives_the_same_boxes(detector):
    first, second = (detector.detect([noise(80, 80)], 0.001)[0] for _ in range(2))
    assert np.array_equal(first.xyxy, second.xyxy)
    assert np.array_equal(first.conf, second.conf)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 500), (500, 1), (3, 2), (700, 900)])
def test_any_size_is_taken(detector, size_hw):
    assert len(detector.detect([noise(*size_hw)], 0.99)) == 1


def test_more_pictures_than_one_batch_and_none(detector):
    assert len(detector.detect([noise(16, 16, seed=i) for i in range(18)], 0.5)) == 18
    assert detector.detect([], 0.5) == []


class _Seen:
    """Stands for ultralytics: keeps what it was shown, and finds one box in the middle of it."""

    def __init__(self):
        self.names, self.images = {0: "hand"}, []

    def predict(self, images, **_):
        self.images += images
        return [self._result(image) for image in images]

    def _result(self, image):
        height, width = image.shape[:2]

        class Boxes:
            xyxy = torch.tensor([[width / 4, height / 4, width / 2, height / 2]])
            conf = torch.tensor([0.5])
            cls = torch.tensor([0.0])

        class Result:
            boxes = Boxes
            orig_shape = (height, width)

        return Result


def test_colours_are_turned_and_boxes_scaled_back():
    seen = _Seen()
    detector = YoloDetector(seen, "seen@1", YoloDefaults(imgsz=64))
    image = np.zeros((400, 200, 3), np.uint8)
    image[..., 0] = 255
    (found,) = detector.detect([image], 0.1)
    assert seen.images[0].shape == (64, 32, 3)
    assert (seen.images[0] == [0, 0, 255]).all(), "ultralytics takes arrays as BGR"
    assert found.xyxy.tolist() == [[50, 100, 100, 200]]


def test_what_cannot_be_loaded_is_named(tmp_path, model_file):
    with pytest.raises(ModelLoadError, match=r"nothing\.pt"):
        YoloDetector.load(tmp_path / "nothing.pt")
    (tmp_path / "broken.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ModelLoadError, match=r"broken\.pt"):
        YoloDetector.load(tmp_path / "broken.pt")
    shutil.copy(model_file, tmp_path / "fine.pt")
    (tmp_path / "defaults.json").write_text('{"no_such_setting": 1}')
    with pytest.raises(ModelLoadError, match="no_such_setting"):
        YoloDetector.load(tmp_path / "fine.pt")


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return Path.touch, (marker,)

    torch.save({"model": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ModelLoadError):
        YoloDetector.load(tmp_path / "evil.pt")
    assert not marker.exists()


def test_torch_s_threads_are_left_as_they_were(model_file):
    before = torch.get_num_threads()
    with _threads_kept():
        torch.set_num_threads(before + 1)
    assert torch.get_num_threads() == before
    YoloDetector.load(model_file)
    assert torch.get_num_threads() == before


def test_a_picture_is_seen_at_its_own_size_between_least_and_most():
    seen = _Seen()
    detector = YoloDetector(seen, "seen@1", YoloDefaults(imgsz=640, least_imgsz=256))
    sizes = {(100, 200): 256, (256, 256): 256, (300, 200): 320, (640, 480): 640, (3000, 2000): 640}
    assert {size: detector.seen_px(size) for size in sizes} == sizes
    found = detector.detect([noise(300, 200), noise(100, 50), noise(60, 120)], 0.1)
    assert [image.shape[:2] for image in seen.images] == [(300, 200), (100, 50), (60, 120)]
    assert [f.xyxy[0].tolist() for f in found] == [[50, 75, 100, 150], [12.5, 25, 25, 50], [30, 15, 60, 30]]
