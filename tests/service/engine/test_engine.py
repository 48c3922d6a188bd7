"""The promises of the service, end to end: each test here fails if one is broken."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.body_parts import CLASS_NAMES
from detectors.detections import Image
from service.core.params import STRENGTHS, Policy, RegionSettings, RepairParams
from service.core.report import Outcome, RepairReport, Verdict
from service.core.requests import GenerateRequest, RepairRequest
from service.engine.engine import DiffusionEngine
from service.engine.loading import repair_model_of
from service.runtime.settings import Settings
from tests.fakes import (
    ANY_COLOUR,
    ColourCritic,
    ColourDetector,
    PaintInpainter,
    Told,
    engine_of,
    paint_part,
    picture,
)

BAD_HAND = ("malformed_hand", (30, 30, 60, 60))


def outside(report: RepairReport) -> np.ndarray:
    """Returns the places where no composite mask of an accepted region reaches."""
    untouched = np.ones(report.image.shape[:2], bool)
    for outcome in report.regions:
        if outcome.accepted:
            untouched &= outcome.region.composite_mask == 0
    return untouched


def repairing(tiny_model, script=lambda seed, strength: paint_part("hand"), **parts) -> DiffusionEngine:
    """An engine that repaints what it is told to."""
    return engine_of(tiny_model, ColourDetector(), inpainter=PaintInpainter(script), **parts)


# Promise 1: nothing outside the mask changes.


@settings(max_examples=25)
@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    corner=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)),
    size=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)),
    feather_px=st.integers(0, 20),
    grow=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_nothing_changes_outside_the_mask_whatever_the_picture(
    tiny_model, height, width, corner, size, feather_px, grow, seed
):
    image = np.random.default_rng(seed).integers(100, 150, (height, width, 3), np.uint8)
    y, x = int(corner[0] * height), int(corner[1] * width)
    h, w = max(1, int(size[0] * height)), max(1, int(size[1] * width))
    image[y : y + h, x : x + w] = (230, 20, 20)
    before = image.copy()
    params = RepairParams(feather_px=feather_px, grow=grow, strengths=(0.4, 1.0), seeds_per_attempt=2)
    report = repairing(tiny_model).repair(RepairRequest(image=image, seed=seed, params=params))
    assert report.image.shape == image.shape
    assert report.image.dtype == np.uint8
    assert np.array_equal(report.image[outside(report)], before[outside(report)])
    assert np.array_equal(image, before), "the caller's picture was written to"
    for outcome in report.regions:
        mask, loose = outcome.region.composite_mask, outcome.region.denoise_mask
        assert mask.shape == loose.shape == image.shape[:2]
        assert mask.dtype == loose.dtype == np.float32
        assert 0 <= mask.min() <= mask.max() <= 1
        assert (loose[mask > 0] > 0).all(), "the composite mask reaches beyond what was redrawn"


def test_an_accepted_repair_changes_the_part_and_only_inside_the_mask(tiny_model):
    image = picture(BAD_HAND)
    report = repairing(tiny_model).repair(RepairRequest(image=image, seed=1))
    assert report.outcome is Outcome.REPAIRED
    changed = (report.image != image).any(axis=2)
    assert changed[30:60, 30:60].all()
    assert not changed[outside(report)].any()
    assert outside(report).any()


def test_a_real_model_changes_nothing_outside_a_painted_mask(tiny_model):
    """No fake: the diffusers pipeline of random weights, and a detector that sees nothing wrong."""
    image = np.random.default_rng(0).integers(0, 255, (70, 51, 3), np.uint8)
    mask = np.zeros((70, 51), np.float32)
    mask[20:41, 11:30] = 1
    params = RepairParams(strengths=(1.0,), seeds_per_attempt=2)
    engine = engine_of(tiny_model, ColourDetector())
    report = engine.repair(RepairRequest(image=image, mask=mask, seed=3, params=params, prompt="a hand"))
    (outcome,) = report.regions
    assert [attempt.verdict for attempt in outcome.attempts] == [Verdict.ACCEPTED] * 2
    assert report.outcome is Outcome.REPAIRED
    assert np.array_equal(report.image[mask == 0], image[mask == 0])
    assert (report.image[mask == 1] != image[mask == 1]).mean() > 0.5


# Promise 2: never worse.


@pytest.mark.parametrize("drawn", ["malformed_hand", "malformed_limb", None])
def test_a_repair_that_is_no_better_is_not_taken(tiny_model, drawn):
    def script(seed, strength):
        return paint_part(drawn) if drawn else (128, 128, 128)

    image = picture(BAD_HAND)
    report = repairing(tiny_model, script).repair(RepairRequest(image=image, seed=1))
    assert report.outcome is Outcome.UNREPAIRED
    assert report.image is image
    (outcome,) = report.regions
    assert not outcome.accepted
    assert "original kept" in outcome.reason
    assert outcome.conf_after >= 0.4
    assert len(outcome.attempts) == 16
    expected = {"malformed_hand": Verdict.STILL_MALFORMED}.get(drawn, Verdict.PART_LOST)
    assert {attempt.verdict for attempt in outcome.attempts} == {expected}


def test_the_critic_can_refuse_what_the_detector_likes(tiny_model):
    engine = repairing(tiny_model, critic=ColourCritic(lambda crop: 0.9))
    report = engine.repair(RepairRequest(image=picture(BAD_HAND), seed=1))
    assert report.outcome is Outcome.UNREPAIRED
    assert report.image is report.original
    assert {a.verdict for a in report.regions[0].attempts} == {Verdict.CRITIC_DISAGREES}


@settings(max_examples=10)
@given(
    drawn=st.lists(
        st.sampled_from(["hand", "malformed_hand", "malformed_limb", "limb"]), min_size=4, max_size=4
    ),
    seed=st.integers(0, 2**32),
)
def test_the_answer_never_holds_more_defects_than_the_question(tiny_model, drawn, seed):
    def script(candidate, strength):
        return paint_part(drawn[candidate % 4])

    image = picture(BAD_HAND, ("malformed_hand", (66, 10, 90, 30)), ("hand", (5, 70, 25, 90)))
    engine = repairing(tiny_model, script)
    params = RepairParams(strengths=(0.4, 0.75), seeds_per_attempt=2)
    report = engine.repair(RepairRequest(image=image, seed=seed, params=params))
    bad = [1, 3]
    before, after = engine.detect(report.original), engine.detect(report.image)
    assert np.isin(after.class_id, bad).sum() <= np.isin(before.class_id, bad).sum()
    undone = sum(not outcome.accepted for outcome in report.regions)
    assert np.isin(after.class_id, bad).sum() == undone


# Promise 3: no defect, no change.


def test_a_clean_picture_comes_back_as_the_very_same_array(tiny_model):
    image = picture(("hand", (30, 30, 60, 60)))
    report = repairing(tiny_model).repair(RepairRequest(image=image, seed=1))
    assert report.outcome is Outcome.CLEAN
    assert report.image is report.original is image
    assert report.regions == ()


def test_a_generated_picture_without_defects_is_the_generated_picture(tiny_model):
    engine = engine_of(tiny_model, ColourDetector())
    (report,) = engine.generate(GenerateRequest(prompt="a hand", seed=5))
    assert report.outcome is Outcome.CLEAN
    assert report.image is report.original
    alone = tiny_model.generate(
        "a hand", negative_prompt="", seed=5, width=32, height=32, num_inference_steps=4, guidance_scale=2.0
    )
    assert np.array_equal(report.image, alone)


# Promise 4: every decision is in the report, and can be repeated.


def test_the_report_tells_of_every_attempt(tiny_model):
    def script(seed, strength):
        return paint_part("hand" if strength >= 0.75 else "malformed_hand")

    image = picture(BAD_HAND)
    report = repairing(tiny_model, script, critic=ColourCritic(lambda crop: 0.2)).repair(
        RepairRequest(image=image, seed=9, params=RepairParams(seeds_per_attempt=3))
    )
    (outcome,) = report.regions
    assert outcome.region.xyxy == (30, 30, 60, 60)
    assert outcome.region.class_name == "malformed_hand"
    assert outcome.region.conf > 0.9
    assert outcome.accepted
    assert outcome.conf_after < 0.1
    assert [a.strength for a in outcome.attempts] == [0.4] * 3 + [0.55] * 3 + [0.75] * 3
    assert [a.verdict for a in outcome.attempts] == [Verdict.STILL_MALFORMED] * 6 + [Verdict.ACCEPTED] * 3
    assert len({a.seed for a in outcome.attempts}) == 9
    assert all(0 <= a.conf <= 1 and a.critic == 0.2 and a.seam > 0 for a in outcome.attempts)
    assert report.seed == 9
    assert set(report.timings_s) == {"detect", "repair"}
    assert set(report.models) == {"generator", "detector", "critic"}
    assert report.models["detector"] == "colours@1"


def test_the_same_request_and_seed_give_the_same_bytes(tiny_model):
    image = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    mask = np.zeros((64, 64), np.float32)
    mask[16:40, 16:40] = 1
    request = RepairRequest(image=image, mask=mask, seed=11, params=RepairParams(seeds_per_attempt=2))
    engine = engine_of(tiny_model, ColourDetector())
    first, second = engine.repair(request), engine.repair(request)
    assert np.array_equal(first.image, second.image)
    assert [o.attempts for o in first.regions] == [o.attempts for o in second.regions]
    other = engine.repair(replace(request, seed=12))
    assert not np.array_equal(first.image, other.image)


def test_generating_is_repeatable_whatever_ran_in_between(tiny_model):
    engine = engine_of(tiny_model, ColourDetector())
    request = GenerateRequest(prompt="a hand", negative_prompt="blue", seed=7)
    first = engine.generate(request)[0].image
    image = picture(size_hw=(40, 40))
    engine.repair(RepairRequest(image=image, mask=np.ones((40, 40), np.float32), seed=1))
    assert np.array_equal(engine.generate(request)[0].image, first)


def test_picture_i_is_the_picture_of_seed_plus_i(tiny_model):
    engine = engine_of(tiny_model, ColourDetector())
    several = engine.generate(GenerateRequest(prompt="a hand", seed=20, num_images=3))
    assert [report.seed for report in several] == [20, 21, 22]
    assert not np.array_equal(several[0].image, several[1].image)
    for report in several:
        (alone,) = engine.generate(GenerateRequest(prompt="a hand", seed=report.seed))
        assert np.array_equal(alone.image, report.image)


def test_a_seed_that_was_not_given_is_drawn_and_reported(tiny_model):
    engine = engine_of(tiny_model, ColourDetector())
    first, second = (engine.generate(GenerateRequest(prompt="a hand"))[0] for _ in range(2))
    assert first.seed != second.seed
    again = engine.generate(GenerateRequest(prompt="a hand", seed=first.seed))[0]
    assert np.array_equal(again.image, first.image)


# What else is asked for.


class _Generator:
    """Draws what it is told to, in a real generator's place."""

    def __init__(self, model, image: Image) -> None:
        self._image = image
        self.defaults, self.model_id, self.family, self.native_px = model.defaults, "told@1", "Told", 64
        self.limits = model.limits

    def generate(self, prompt, **_):
        return self._image.copy()


def test_a_malformed_generated_picture_is_repaired(tiny_model):
    generator = _Generator(tiny_model, picture(BAD_HAND))
    engine = engine_of(generator, ColourDetector(), inpainter=PaintInpainter(lambda *_: paint_part("hand")))
    (report,) = engine.generate(GenerateRequest(prompt="a hand", seed=1))
    assert report.outcome is Outcome.REPAIRED
    assert set(report.timings_s) == {"generate", "detect", "repair"}
    assert len(engine.detect(report.image)) == 1


def test_without_repair_the_report_still_says_what_is_wrong(tiny_model):
    inpainter = PaintInpainter(lambda *_: paint_part("hand"))
    engine = engine_of(_Generator(tiny_model, picture(BAD_HAND)), ColourDetector(), inpainter=inpainter)
    (report,) = engine.generate(GenerateRequest(prompt="a hand", seed=1, repair=None))
    assert report.outcome is Outcome.UNREPAIRED
    assert report.image is report.original
    assert len(report.regions) == 1
    assert not inpainter.calls


def test_a_dry_run_plans_and_changes_nothing(tiny_model):
    image = picture(BAD_HAND)
    report = repairing(tiny_model).repair(RepairRequest(image=image, seed=1, dry_run=True))
    assert report.image is image
    (outcome,) = report.regions
    assert outcome.attempts == ()
    assert outcome.region.composite_mask.max() == 1


def test_one_repaired_and_one_kept_is_partly(tiny_model):
    image = picture(BAD_HAND, ("malformed_limb", (70, 5, 90, 25)))
    report = repairing(tiny_model).repair(RepairRequest(image=image, seed=1))
    assert report.outcome is Outcome.PARTLY
    assert [o.accepted for o in report.regions] == [True, False]


def test_every_redraws_well_formed_parts_and_keeps_them_if_not_better(tiny_model):
    image = picture(("hand", (30, 30, 60, 60)))
    params = RepairParams(policy=Policy.EVERY)
    good = repairing(tiny_model).repair(RepairRequest(image=image, seed=1, params=params))
    assert good.outcome is Outcome.REPAIRED
    bad = repairing(tiny_model, lambda *_: paint_part("malformed_hand"))
    kept = bad.repair(RepairRequest(image=image, seed=1, params=params))
    assert kept.outcome is Outcome.CLEAN
    assert kept.image is image
    assert not kept.regions[0].accepted


def test_a_mask_is_taken_at_its_word_and_its_boxes_are_not_sought(tiny_model):
    # The flat paint of the scripted painter shows its edge; here that is not the question.
    image = picture(BAD_HAND)
    mask = np.zeros((96, 96), np.float32)
    mask[70:90, 70:90] = 1
    mask[5:15, 5:20] = 0.8
    script = PaintInpainter(lambda *_: (80, 150, 128))
    params = replace(ANY_COLOUR, max_seam=9.0)
    engine = engine_of(tiny_model, ColourDetector(), inpainter=script, gate_params=params)
    report = engine.repair(RepairRequest(image=image, mask=mask, seed=1))
    assert [o.region.xyxy for o in report.regions] == [(70, 70, 90, 90), (5, 5, 20, 15)]
    assert report.outcome is Outcome.REPAIRED
    assert np.array_equal(report.image[mask == 0], image[mask == 0])
    assert (report.image[78:82, 78:82] != image[78:82, 78:82]).any()


def test_progress_is_told_from_the_first_step_to_the_last(tiny_model):
    told = []
    engine = engine_of(
        _Generator(tiny_model, picture(BAD_HAND)),
        ColourDetector(),
        inpainter=PaintInpainter(lambda *_: paint_part("hand")),
    )
    engine.generate(GenerateRequest(prompt="a hand", seed=1, num_images=2), Told(told))
    for phase in ("generate", "detect", "repair"):
        steps = [(done, total) for name, done, total in told if name == phase]
        assert steps[-1][0] == steps[-1][1] > 0
        assert all(0 <= done <= total for done, total in steps)


def test_sampling_steps_are_told_one_by_one(tiny_model):
    told = []
    engine = engine_of(tiny_model, ColourDetector())
    engine.generate(GenerateRequest(prompt="a hand", seed=1, num_images=2), Told(told))
    steps = [done for name, done, total in told if name == "generate"]
    assert steps == sorted(steps)
    assert list(dict.fromkeys(steps)) == [0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_detection_uses_each_class_s_own_threshold(tiny_model):
    detector = ColourDetector(default_conf=dict.fromkeys(ColourDetector().class_names, 0.3) | {"hand": 0.999})
    engine = engine_of(tiny_model, detector)
    image = picture(BAD_HAND, ("hand", (70, 70, 90, 90)))
    image[70:90, 70:90] = (30, 220, 30)
    assert [engine.class_names[i] for i in engine.detect(image).class_id] == ["malformed_hand"]
    assert len(engine.detect(image, conf=0.2)) == 2


def test_the_cards_name_the_models(tiny_model):
    engine = engine_of(tiny_model, ColourDetector(), ColourCritic(), sources={"generator": "bundled"})
    cards = {card.role: card for card in engine.models()}
    assert set(cards) == {"generator", "detector", "critic"}
    assert cards["generator"].native_size_hw == (32, 32)
    assert cards["generator"].source == "bundled"
    assert cards["generator"].family == "StableDiffusionPipeline"
    assert cards["generator"].defaults["num_inference_steps"] == 4


def test_all_three_models_load_from_a_folder_and_work_together(tiny_models_dir):
    """No fake: random weights in the layouts of the bundled models."""
    engine = DiffusionEngine.load(Settings(models_dir=tiny_models_dir, device="cpu"))
    assert engine.class_names == CLASS_NAMES
    cards = {card.role: card for card in engine.models()}
    assert {role: card.source for role, card in cards.items()} == dict.fromkeys(cards, "bundled")
    assert cards["critic"].defaults == {"threshold": 0.6}
    (report,) = engine.generate(GenerateRequest(prompt="a hand", seed=1))
    assert set(report.models) == {"generator", "detector", "critic"}
    assert report.image.shape == (32, 32, 3)
    mask = np.zeros((50, 40), np.float32)
    mask[10:30, 10:30] = 1
    request = RepairRequest(
        image=picture(size_hw=(50, 40)), mask=mask, seed=1, params=RepairParams(strengths=(0.5,))
    )
    assert len(engine.repair(request).regions[0].attempts) == 4
    without = DiffusionEngine.load(
        Settings(models_dir=tiny_models_dir, device="cpu", critic="none", threads=1)
    )
    assert [card.role for card in without.models()] == ["generator", "detector"]


def test_the_bundled_inpainter_redraws_for_the_bundled_model_alone(tiny_models_dir, tmp_path):
    shutil.copytree(tiny_models_dir, tmp_path / "models")
    shutil.copytree(tiny_models_dir / "generator", tmp_path / "models" / "inpainter")
    settings = Settings(models_dir=tmp_path / "models", device="cpu", critic="none")
    cards = {card.role: card for card in DiffusionEngine.load(settings).models()}
    assert cards["inpainter"].source == "bundled" and cards["inpainter"].id.startswith("inpainter@")
    assert repair_model_of(settings.model_copy(update={"repair_model": ""})) == ""
    assert repair_model_of(settings.model_copy(update={"model": "owner/name"})) == ""
    assert repair_model_of(Settings(models_dir=tiny_models_dir)) == ""


def test_another_model_redraws_if_the_settings_name_one(tiny_models_dir):
    other = str(tiny_models_dir / "generator")
    settings = Settings(models_dir=tiny_models_dir, device="cpu", critic="none", repair_model=other)
    engine = DiffusionEngine.load(settings)
    cards = {card.role: card for card in engine.models()}
    assert cards["inpainter"].source == other and cards["generator"].source == "bundled"
    assert set(engine.generate(GenerateRequest(prompt="a hand", seed=1))[0].models) == set(cards)
    used: list[str] = []
    engine._generator.inpaint = lambda *args, **kwargs: used.append("generator")
    mask, params = np.ones((32, 32), np.float32), RepairParams(strengths=(0.5,))
    request = RepairRequest(image=picture(size_hw=(32, 32)), mask=mask, seed=1, params=params)
    assert len(engine.repair(request).regions[0].attempts) == 4 and not used


def test_the_model_s_own_ladder_is_for_generated_pictures_and_not_for_an_upload(tiny_model):
    inpainter = PaintInpainter(lambda *_: paint_part("malformed_hand"))
    inpainter.per_class = {"hand": RegionSettings(strengths=(1.0,), seeds_per_attempt=2)}
    engine = engine_of(_Generator(tiny_model, picture(BAD_HAND)), ColourDetector(), inpainter=inpainter)
    (own,) = engine.generate(GenerateRequest(prompt="a hand", seed=1))[0].regions
    (upload,) = engine.repair(RepairRequest(image=picture(BAD_HAND), seed=1)).regions
    assert [attempt.strength for attempt in own.attempts] == [1.0, 1.0]
    assert {attempt.strength for attempt in upload.attempts} == set(STRENGTHS)
