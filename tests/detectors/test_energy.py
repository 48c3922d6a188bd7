from __future__ import annotations

import numpy as np
import pytest
import torch

from detectors.body_parts import CLASS_NAMES
from detectors.energy import RawScores, defect_and_presence, letterboxed
from detectors.protocols import PresenceDetector
from detectors.yolo import YoloDefaults, YoloDetector
from tests.tiny import build_tiny_detector

REGION = (8.0, 12.0, 40.0, 50.0)


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> YoloDetector:
    folder = tmp_path_factory.mktemp("models") / "detector"
    return YoloDetector.load(build_tiny_detector(folder, sees_everything=True) / "detector.pt")


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


def test_one_number_for_each_picture_whatever_the_batch(detector, image):
    energy, presence = detector.defect_and_presence(image, REGION)
    assert energy.shape == presence.shape == (2,)
    assert isinstance(detector, PresenceDetector)
    assert torch.equal(detector.defect_energy(image, REGION), energy)
    assert torch.allclose(detector.defect_energy(image[1:], REGION), energy[1:], atol=1e-4)


def test_the_gradient_is_the_slope(detector, image):
    """Central differences along the gradient and along random directions, in double precision."""
    network = detector._differentiable()
    network.double()
    try:
        x = image[:1].double().requires_grad_()
        energy = _energy_double(detector, x)
        (gradient,) = torch.autograd.grad(energy, x)
        assert gradient.abs().sum() > 0
        generator = torch.Generator().manual_seed(1)
        ways = [gradient, *(torch.randn(x.shape, generator=generator, dtype=torch.float64) for _ in range(3))]
        for way in ways:
            way = way / way.norm()
            with torch.no_grad():
                ahead, behind = (float(_energy_double(detector, x + h * way)) for h in (1e-5, -1e-5))
            assert float((gradient * way).sum()) == pytest.approx((ahead - behind) / 2e-5, rel=1e-3, abs=1e-7)
    finally:
        network.float()


def _energy_double(detector, x):
    scores = detector._raw_scores(torch.nn.functional.pad(x, (8, 8, 0, 0)))
    logits = scores.logits[:, :, (scores.centres_xy[:, 0] < 40)]
    return torch.logsumexp(logits[:, 1].flatten(), 0) - torch.logsumexp(logits[:, 0].flatten(), 0)


def test_it_is_the_score_of_what_is_detected(detector):
    """The sigmoid of the strongest malformed logit is the confidence that ``detect`` gives."""
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    tensor = torch.from_numpy(picture / np.float32(255)).permute(2, 0, 1)[None]
    with torch.no_grad():
        scores = detector._raw_scores(letterboxed(tensor, 64)[0])
    one2one = scores.logits[0, :, scores.logits.shape[2] // 2 :]
    found = detector.detect([picture], 0.001)[0]
    ours = one2one.sigmoid()
    head = detector._differentiable().model[-1]
    if not head.end2end:
        ours = scores.logits[0, :, : scores.logits.shape[2] // 2].sigmoid()
    assert float(found.conf.max()) == pytest.approx(float(ours.max()), abs=2e-3)


def test_it_still_works_after_detecting_and_within_no_grad(detector, image):
    detector.detect([np.zeros((32, 32, 3), np.uint8)], 0.5)
    with torch.no_grad():
        still = detector.defect_energy(image, REGION)
        assert not still.requires_grad
        with torch.enable_grad():
            x = image.clone().requires_grad_()
            assert detector.defect_energy(x, REGION).requires_grad
    assert torch.allclose(detector.defect_energy(image, REGION), still)


def test_what_lies_in_the_region_counts_and_else_the_nearest():
    logits = torch.zeros(1, 2, 16)
    logits[0, 1, 5] = 6.0  # malformed, in the cell of row 1, column 1
    scores = RawScores.of(logits, [(4, 4)], [8.0], 1)
    assert scores.centres_xy[5].tolist() == [12.0, 12.0]

    def energy(*xyxy):
        return float(defect_and_presence(scores, xyxy, ("hand", "malformed_hand"))[0])

    assert energy(8, 8, 16, 16) == pytest.approx(6.0)
    assert energy(16, 16, 32, 32) == pytest.approx(0.0)
    assert energy(12.5, 12.5, 13, 13) == pytest.approx(6.0), "no anchor in it: the nearest"
    assert energy(0, 0, 32, 32) > 3


def test_a_well_formed_part_is_present_and_no_part_is_not():
    def both(hand, malformed):
        logits = torch.full((1, len(CLASS_NAMES), 1), -9.0)
        logits[0, 0, 0], logits[0, 1, 0] = hand, malformed
        scores = RawScores.of(logits, [(1, 1)], [8.0], 1)
        return [float(x) for x in defect_and_presence(scores, (0, 0, 8, 8), CLASS_NAMES)]

    good, bad, none = both(4.0, -4.0), both(-4.0, 4.0), both(-9.0, -9.0)
    assert good[0] < 0 < bad[0]
    assert none[0] == pytest.approx(0.0, abs=1e-5)
    assert good[1] == pytest.approx(bad[1])
    assert none[1] < good[1] - 5


def test_a_model_without_malformed_classes_is_refused():
    scores = RawScores.of(torch.zeros(1, 1, 1), [(1, 1)], [8.0], 1)
    with pytest.raises(ValueError, match="malformed"):
        defect_and_presence(scores, (0, 0, 8, 8), ("hand",))


def test_what_cannot_be_looked_into_is_refused():
    class Other(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.names = {0: "malformed_hand"}

        def forward(self, x):
            return x

    other = Other()
    other.model = Other()
    with pytest.raises(ValueError, match="other@1"):
        YoloDetector(other, "other@1", YoloDefaults(imgsz=32)).defect_energy(torch.zeros(1, 3, 8, 8), REGION)


@pytest.mark.parametrize("size_hw", [(64, 48), (30, 100), (17, 5), (64, 64)])
def test_boxes_go_with_the_picture_into_the_square(size_hw):
    height, width = size_hw
    image = torch.zeros(1, 3, height, width)
    image[..., height // 2 :, width // 2 :] = 1.0
    square, place = letterboxed(image, 64)
    assert square.shape == (1, 3, 64, 64)
    x1, y1, x2, y2 = place.box((width // 2, height // 2, width, height))
    box = square[0, 0, round(y1 + 1.5) : int(y2), round(x1 + 1.5) : int(x2)]
    assert (box > 0.5).all()
    assert torch.allclose(place_of_corners(square), torch.tensor([x2, y2]), atol=1.5)


def place_of_corners(square):
    rows, columns = (square[0, 0] > 0.6).nonzero(as_tuple=True)
    return torch.tensor([columns.max() + 1.0, rows.max() + 1.0])
