"""All that looks into a run, through a pipeline of every family."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.denoiser_replay import DenoiserReplay
from bench.nudge_controls import DenoiserNudge
from service.core.errors import ModelUnavailable
from service.core.params import WATCH_FRACTIONS, NudgeParams
from service.diffusion.hooks import StopRun, tap
from service.diffusion.latents import Packing
from service.diffusion.nudge import Nudge
from service.diffusion.preview import preview_for
from service.generation.abort_rules import Limit, PreviewThresholds
from service.generation.watch_hook import WatchHook
from tests.service.diffusion.families import FAMILIES, build_family
from tests.service.diffusion.guides import DarkGuide, LinearLatents, ScriptedDetector
from tests.service.diffusion.test_hooks import run_family

LIMITS = PreviewThresholds(limits={f: {"malformed_hand": Limit(0.5, 0.9)} for f in WATCH_FRACTIONS})
REGION = (8.0, 8.0, 24.0, 24.0)


@pytest.fixture(scope="module", params=FAMILIES)
def pipeline(request, tmp_path_factory):
    return build_family(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def mask():
    mask = np.zeros((32, 32), np.float32)
    mask[8:24, 8:24] = 1
    return mask


def test_watched_and_nudged(pipeline, mask):
    packing, preview = Packing.of(pipeline, 32, 32), preview_for(pipeline)
    plain = run_family(pipeline)
    # Untrained models predict what a real preview shows as plain black or white, where nothing has a slope.
    nudge = Nudge(LinearLatents(), DarkGuide(), REGION, mask, NudgeParams(strength=(0.2, 0.2)))
    watch = WatchHook(preview, ScriptedDetector(0.6, 0.1, 0.6), LIMITS, (32, 32), sparing=False)
    last = []
    with tap(pipeline, [nudge, watch, lambda step: last.append(step)], packing):
        nudged = run_family(pipeline)
    assert watch.reason is None
    assert len(watch.looks) == 3
    assert len(nudge.steps) >= 2
    assert all(step.energy_after <= step.energy_before for step in nudge.steps)
    assert any(step.energy_after < step.energy_before for step in nudge.steps)
    assert (nudged != plain).any()
    assert last[0].x0.shape == (1, 4, 4, 4)


def test_nudges_through_the_denoiser_as_well(pipeline, mask):
    packing, preview = Packing.of(pipeline, 32, 32), preview_for(pipeline)
    replay = DenoiserReplay(pipeline, packing)
    params = NudgeParams(strength=(0.05, 0.05))
    nudge = DenoiserNudge(replay, preview, DarkGuide(), REGION, mask, params)
    asked = []

    def replayed(step):
        asked.append((step.x0, replay.x0(step, step.sample)))

    with replay.listening(), tap(pipeline, [replayed, nudge], packing):
        run_family(pipeline)
    for seen, again in asked:
        assert torch.allclose(seen, again, atol=1e-4, rtol=1e-4), "the replay is not the call"
    assert any(step.energy_after != step.energy_before for step in nudge.steps)
    with pytest.raises(ModelUnavailable, match="listened"):
        replay.x0(None, asked[0][0])


def test_a_hopeless_run_is_stopped(pipeline):
    watch = WatchHook(preview_for(pipeline), ScriptedDetector(0.95), LIMITS, (32, 32))
    with (
        pytest.raises(StopRun, match="malformed_hand"),
        tap(pipeline, [watch], Packing.of(pipeline, 32, 32)),
    ):
        run_family(pipeline)
    assert len(watch.looks) == 1
