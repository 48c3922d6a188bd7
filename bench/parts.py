"""Time of each part of a repair in milliseconds: ``python -m bench.parts``.

Each part is run many times by itself. The table has the median and the fastest and slowest tenth.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
import torch

from bench.intervals import machine, table
from bench.models import Models, load_models, step_inputs
from detectors.masks import box_mask

WARM_UP = 2
CANDIDATES = 4
STRENGTHS = (0.4, 0.75, 1.0)
PROMPT = "an open hand on a blue background"


def milliseconds(work: Callable[[], object], repeat: int) -> list[float]:
    """Returns the time of each run in milliseconds, after a warm-up."""
    taken = []
    for index in range(WARM_UP + repeat):
        start = time.perf_counter()
        work()
        if index >= WARM_UP:
            taken.append((time.perf_counter() - start) * 1000)
    return taken


def parts(models: Models) -> dict[str, Callable[[], object]]:
    """Returns every part by its name."""
    model, redraws, detector, critic = models.generator, models.redraws, models.detector, models.critic
    defaults, unet, vae = model.defaults, model.components["unet"], model.components["vae"]
    rng = np.random.default_rng(0)
    height, width = defaults.height, defaults.width
    image = rng.integers(0, 255, (height, width, 3), np.uint8)
    noisy, text = step_inputs(model)
    latents = noisy[:1]
    box = (width // 4, height // 4, 3 * width // 4, 3 * height // 4)
    mask = box_mask(box, (height, width))
    preview = model.preview()

    @torch.inference_mode()
    def step() -> object:
        return unet(noisy, torch.tensor(500), text)

    @torch.inference_mode()
    def decode() -> object:
        return vae.decode(latents)

    def redraw(strength: float, candidates: int, steps: int | None = None) -> object:
        return redraws.inpaint(
            image,
            mask,
            prompt=PROMPT,
            negative_prompt="",
            strength=strength,
            seeds=list(range(candidates)),
            num_inference_steps=steps,
        )

    made: dict[str, Callable[[], object]] = {
        "a look of the detector": lambda: detector.detect([image], 0.25),
        f"a look at {3 * CANDIDATES} pictures, as the gate has": lambda: detector.detect(
            [image] * 3 * CANDIDATES, 0.25
        ),
        "a denoising step, with guidance": step,
        "a decode": decode,
        "a decode as the watch and a nudge have it": lambda: preview.decode(latents),
        f"a picture of {defaults.num_inference_steps} steps": lambda: model.generate_plainly(PROMPT, 1),
    }
    for strength, candidates in (*product(STRENGTHS, [CANDIDATES]), (1.0, 2)):
        made[f"{candidates} candidates redrawn at {strength:g}"] = partial(redraw, strength, candidates)
    own = redraws.per_class.get("limb")
    if own is not None and own.strengths and own.seeds_per_attempt:
        name = f"{own.seeds_per_attempt} candidates redrawn as limbs of own pictures are"
        made[name] = partial(redraw, own.strengths[0], own.seeds_per_attempt, own.num_inference_steps)
    if critic is not None:
        made["the critic's probability for a part"] = lambda: critic.malformed(
            [critic.crop(image, box)], ["hand"]
        )
    return made


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=20)
    args = parser.parse_args()
    rows = []
    for name, work in parts(load_models()).items():
        taken = milliseconds(work, args.repeat)
        low, middle, high = np.percentile(taken, [10, 50, 90])
        rows.append([name, f"{middle:.1f}", f"{low:.1f} to {high:.1f}"])
    print(f"{machine()}, {torch.get_num_threads()} threads")
    print(table(["part", "median, ms", "from the fastest to the slowest tenth"], rows))


if __name__ == "__main__":
    main()
