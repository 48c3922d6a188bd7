from __future__ import annotations

import numpy as np
import pytest

from service.diffusion.calls import networks_of
from service.diffusion.memory_budget import ALIVE_AT_ONCE

PROMPT = {"prompt": "a hand", "negative_prompt": ""}
SAMPLING = {"width": 32, "height": 32, "num_inference_steps": 4, "guidance_scale": 2.0}


@pytest.fixture(scope="module")
def image(tiny_model):
    return tiny_model.generate(seed=1, **PROMPT, **SAMPLING)


@pytest.fixture(scope="module")
def mask():
    mask = np.zeros((32, 32), np.float32)
    mask[8:24, 8:24] = 1
    return mask


def test_one_seed_one_picture(tiny_model, image):
    assert image.shape == (32, 32, 3)
    assert image.dtype == np.uint8
    assert image.std() > 5
    assert np.array_equal(tiny_model.generate(seed=1, **PROMPT, **SAMPLING), image)
    assert not np.array_equal(tiny_model.generate(seed=2, **PROMPT, **SAMPLING), image)


def test_prompts_and_sizes_are_obeyed(tiny_model, image):
    other = tiny_model.generate(seed=1, prompt="a horse", negative_prompt="", **SAMPLING)
    without = tiny_model.generate(seed=1, prompt="a hand", negative_prompt="grey", **SAMPLING)
    assert not np.array_equal(other, image)
    assert not np.array_equal(without, image)
    wide = tiny_model.generate(seed=1, **PROMPT, **(SAMPLING | {"width": 48, "height": 24}))
    assert wide.shape == (24, 48, 3)


@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_a_candidate_does_not_depend_on_its_neighbours(tiny_model, image, mask, strength):
    together = tiny_model.inpaint(image, mask, strength=strength, seeds=[5, 6, 7], **PROMPT)
    assert len(together) == 3
    for seed, candidate in zip([5, 6, 7], together, strict=True):
        (alone,) = tiny_model.inpaint(image, mask, strength=strength, seeds=[seed], **PROMPT)
        assert np.abs(alone.astype(int) - candidate).max() <= 1, "more than the last bit of a batched kernel"
    assert not np.array_equal(together[0], together[1])


def test_a_picture_is_encoded_once_for_all_candidates(tiny_model, image, mask, monkeypatch):
    vae, encoded = tiny_model.components["vae"], []
    encode = vae.encode
    monkeypatch.setattr(
        vae, "encode", lambda x, *rest, **more: (encoded.append(len(x)), encode(x, *rest, **more))[1]
    )
    counts = []
    for seeds in ([1], [1, 2, 3]):
        encoded.clear()
        tiny_model.inpaint(image, mask, strength=0.5, seeds=seeds, **PROMPT)
        counts.append(sum(encoded))
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("strength", [1e-6, 0.01, 0.25, 0.3])
def test_any_strength_runs_at_least_one_step(tiny_model, image, mask, strength):
    (candidate,) = tiny_model.inpaint(image, mask, strength=strength, seeds=[1], **PROMPT)
    assert candidate.shape == image.shape


def test_more_strength_changes_more(tiny_model, image, mask):
    reference = tiny_model.inpaint(image, mask, strength=1e-6, seeds=[1], **PROMPT)[0].astype(int)
    changes = [
        np.abs(tiny_model.inpaint(image, mask, strength=s, seeds=[1], **PROMPT)[0] - reference).mean()
        for s in (0.3, 1.0)
    ]
    assert 0 < changes[0] < changes[1]


def test_the_pipeline_alone_changes_pixels_outside_the_mask(tiny_model, image, mask):
    """The reason why the composite is ours: the tiny autoencoder (``.latents``, no distribution) is lossy."""
    (candidate,) = tiny_model.inpaint(image, mask, strength=0.5, seeds=[1], **PROMPT)
    assert (candidate[mask == 0] != image[mask == 0]).any()


def test_steps_are_told(tiny_model):
    told = []
    tiny_model.generate(seed=1, on_step=told.append, **PROMPT, **SAMPLING)
    assert told == [0, 1, 1, 2, 2, 3, 3, 4, 4], "before each call of a network, and after each step"


def test_previews_are_shown_a_few_times_and_change_nothing(tiny_model):
    shown = []
    with_them = tiny_model.generate(
        seed=1, on_preview=lambda done, image: shown.append((done, image.shape)), **PROMPT, **SAMPLING
    )
    without = tiny_model.generate(seed=1, **PROMPT, **SAMPLING)
    assert np.array_equal(with_them, without)
    assert shown[-1][0] == SAMPLING["num_inference_steps"]
    assert all(len(shape) == 3 and shape[2] == 3 for _, shape in shown)


class Ended(Exception):
    pass


@pytest.mark.parametrize("at", range(6))
def test_a_run_can_be_ended_before_any_call_of_a_network(tiny_model, image, mask, at):
    """Encoding, each step and the decode of all candidates: no second call is made by a job nobody wants."""
    calls, told = [], []
    handles = [
        network.register_forward_hook(lambda *_: calls.append(1))
        for network in networks_of(tiny_model.pipeline)
    ]

    def on_step(_done):
        told.append(len(calls))
        if len(calls) >= at:
            raise Ended

    try:
        with pytest.raises(Ended):
            tiny_model.inpaint(image, mask, strength=1.0, seeds=[1, 2], on_step=on_step, **PROMPT)
    finally:
        for handle in handles:
            handle.remove()
    assert len(calls) == at, "one more call was made after the end was asked for"
    assert set(told) == set(range(at + 1))


def test_a_larger_batch_than_the_memory_holds_is_counted(tiny_model, monkeypatch):
    each = tiny_model.bytes_per_px * tiny_model.native_px**2 * ALIVE_AT_ONCE
    for budget, wanted in ((each * 3.5, 3), (each / 2, 1)):
        monkeypatch.setattr(tiny_model, "batch_bytes", budget)
        assert tiny_model.most_at_once == wanted
