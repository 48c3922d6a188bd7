"""All of a prompt is read, or what is not is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from service.diffusion.prompt_encoding import heeds_negative, prompt_arguments, unused_of
from tests.service.diffusion.families import build_family

SAMPLING = {"seed": 1, "width": 32, "height": 32, "num_inference_steps": 2, "guidance_scale": 3.0}
ROOM = 14  # of the tiny tokenizer, which reads letters
LONG = "a man in a red shirt on a beach"


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory):
    return build_family("sdxl", tmp_path_factory.mktemp("sdxl"))


def drawn(model, prompt, negative_prompt=""):
    return model.generate(prompt, negative_prompt=negative_prompt, **SAMPLING)


def test_a_short_plain_prompt_goes_to_the_pipeline_as_it_is(tiny_model):
    pipeline = tiny_model.pipeline
    assert prompt_arguments(pipeline, "a hand", "") == {"prompt": "a hand"}
    assert prompt_arguments(pipeline, "a (hand)", "grey") == {"prompt": "a (hand)", "negative_prompt": "grey"}


def test_what_comes_late_in_a_long_prompt_is_drawn_too(tiny_model):
    first, second = (drawn(tiny_model, f"{LONG} {end}") for end in ("day", "night"))
    assert not np.array_equal(first, second)
    assert not np.array_equal(drawn(tiny_model, "a hand", f"{LONG} day"), drawn(tiny_model, "a hand", LONG))
    assert tiny_model.unused(LONG, "prompt") == ()


def test_a_tag_changes_nothing_and_is_told(tiny_model):
    assert np.array_equal(drawn(tiny_model, "a man <lora:foo:0.8>"), drawn(tiny_model, "a man"))
    (told,) = tiny_model.unused("a man <lora:foo:0.8>", "prompt")
    assert (told.name, told.where) == ("prompt", "<lora:foo:0.8>")


def test_weights_and_chunks_change_the_picture(tiny_model):
    prompts = ["a red man", "a (red:1.5) man", "a (red:3) man", "a red BREAK man"]
    pictures = [drawn(tiny_model, prompt).tobytes() for prompt in prompts]
    assert len(set(pictures)) == len(prompts)
    assert drawn(tiny_model, "a (red:1.0) man").tobytes() == pictures[0]


def test_a_weight_moves_its_own_word_and_no_other(tiny_model):
    pipeline = tiny_model.pipeline
    plain, _ = (pipeline.encode_prompt("a red man", "cpu", 1, True)[i] for i in (0, 1))
    nothing = pipeline.encode_prompt("", "cpu", 1, True)[0]
    heavy = prompt_arguments(pipeline, "a (red:2) man", "")["prompt_embeds"]
    gone = prompt_arguments(pipeline, "a (red:0) man", "")["prompt_embeds"]
    red = slice(2, 5)  # after the start and the letter a
    assert torch.allclose(heavy[:, red], 2 * plain[:, red] - nothing[:, red])
    assert torch.equal(gone[:, red], nothing[:, red])
    for other in (slice(0, 2), slice(5, None)):
        assert torch.equal(heavy[:, other], plain[:, other])


def test_both_prompts_take_as_many_windows(tiny_model):
    told = prompt_arguments(tiny_model.pipeline, "a hand", LONG)
    assert told["prompt_embeds"].shape == told["negative_prompt_embeds"].shape
    assert told["prompt_embeds"].shape[1] == 2 * (ROOM + 2)


def test_sdxl_reads_on_as_well(sdxl):
    told = prompt_arguments(sdxl, f"{LONG} (day:1.4)", "")
    assert set(told) == {
        "prompt_embeds",
        "negative_prompt_embeds",
        "pooled_prompt_embeds",
        "negative_pooled_prompt_embeds",
    }
    assert not told["negative_prompt_embeds"].any(), "without a negative prompt it takes zeros"
    asked = {"height": 32, "width": 32, "num_inference_steps": 2, "output_type": "np"}
    assert np.isfinite(sdxl(**told, **asked).images).all()


@pytest.mark.parametrize("family", ["sd3", "flux"])
def test_a_transformer_tells_what_it_cuts(family, tmp_path):
    pipeline = build_family(family, tmp_path)
    told = unused_of(pipeline, "a (red:1.4) hand BREAK <lora:x:1> " + "word " * 150 + "night", "prompt")
    assert [one.where for one in told[:3]] == ["<lora:x:1>", "red", "BREAK"]
    assert {one.name for one in told} == {"prompt"}
    assert told[3].where.startswith("word word")
    assert "tokens" in told[3].reason
    assert prompt_arguments(pipeline, "a (red:1.4) hand", "")["prompt"] == "a red hand"
    assert unused_of(pipeline, "a hand", "prompt") == ()


def test_a_negative_prompt_counts_only_where_there_is_guidance(tiny_model, tmp_path):
    assert tiny_model.heeds_negative(None)
    assert not tiny_model.heeds_negative(1.0)
    assert not heeds_negative(build_family("flux", tmp_path), 7.0)
