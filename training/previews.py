"""Fits the watch's thresholds: ``python -m training.previews --prompts FILE --count 200``.

Unselected runs are watched to their end without being stopped; whether a run ended malformed is decided by
detector and critic on the finished picture. The file lies beside the detector and holds only for this
generator, detector and kind of preview; with any other the service guesses, and reports that. The figures are
of runs that the thresholds were not fitted to. The models are those of the service's settings
(``ANATOMEND_MODEL``, ``ANATOMEND_DETECTOR`` …).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from detectors.protocols import Detector
from service.core.params import WATCH_FRACTIONS, RepairParams
from service.diffusion.model import DiffusionModel
from service.engine.loading import (
    choose_device,
    detector_path,
    load_critic,
    load_detector,
    load_generator,
    load_generator_calibration,
)
from service.generation.abort_rules import THRESHOLDS_FILE, PreviewThresholds
from service.generation.ranking import rank
from service.generation.watch_hook import WatchHook
from service.repair.calibration import calibration_for
from service.repair.inspection import Inspector
from service.runtime.settings import read_settings
from training.abort_rules import WatchedRun, fit_thresholds, stopped_share

HELD_OUT = 0.25
"""The share of runs that is kept for the figures: a random one, as kinds of prompts may come in turns."""


def watched_runs(
    model: DiffusionModel,
    inspector: Inspector,
    prompts: Sequence[str],
    count: int,
    first_seed: int = 0,
    fractions: Sequence[float] = WATCH_FRACTIONS,
) -> Iterator[WatchedRun]:
    """Runs with the model's own settings, each watched to its end.

    Args:
        model: makes the pictures.
        inspector: looks at the end, its detector at previews, its critic has the second word.
        prompts: taken in turn.
        count: how many runs.
        first_seed: run ``i`` has the seed ``first_seed + i``.
        fractions: of the run at which to look.
    """
    defaults = model.defaults
    size_hw = defaults.height, defaults.width
    never = PreviewThresholds(limits={})
    for i in range(count):
        watch = WatchHook(
            model.preview(),
            inspector.detector,
            never,
            size_hw,
            fractions=fractions,
            stop=False,
            sparing=False,
        )
        image = model.generate_plainly(prompts[i % len(prompts)], first_seed + i, [watch])
        seen, critic = rank(image, inspector, RepairParams()), inspector.critic
        agrees = critic is None or seen.critic is None or seen.critic >= critic.threshold
        yield WatchedRun(tuple(watch.looks), malformed=seen.defects > 0 and agrees)


def fitted(
    runs: Sequence[WatchedRun], model: DiffusionModel, detector: Detector, most_false_aborts: float
) -> tuple[PreviewThresholds, dict[str, float | None]]:
    """Thresholds, and what they do to runs that they were not fitted to.

    Returns:
        The thresholds; and by name: number of ``runs`` and of ``malformed`` ones, and of those held out the
        share of good runs ``stopped_wrongly`` and of malformed ones ``stopped_rightly``, None without any.

    Raises:
        ValueError: if no run ended well.
    """
    order = np.random.default_rng(0).permutation(len(runs))
    first = round(HELD_OUT * len(runs))
    held_out, known = ([runs[i] for i in some] for some in (order[:first], order[first:]))
    thresholds = fit_thresholds(
        known, most_false_aborts, detector.model_id, model.preview().kind, model.model_id
    )
    return thresholds, {
        "runs": len(runs),
        "malformed": sum(run.malformed for run in runs),
        "stopped_wrongly": _share([run for run in held_out if not run.malformed], thresholds),
        "stopped_rightly": _share([run for run in held_out if run.malformed], thresholds),
    }


def _share(runs: Sequence[WatchedRun], thresholds: PreviewThresholds) -> float | None:
    return stopped_share(runs, thresholds) if runs else None


def main() -> None:
    """Runs, fits, writes, and tells the figures as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="one prompt a line, taken in turn")
    parser.add_argument("--count", type=int, default=200, help="runs")
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument(
        "--fractions",
        type=float,
        nargs="+",
        default=WATCH_FRACTIONS,
        help="of a run at which the watch is to look",
    )
    parser.add_argument("--most-false-aborts", type=float, default=0.05, help="share of good runs")
    parser.add_argument("--out", type=Path, help=f"{THRESHOLDS_FILE} beside the detector if left out")
    arguments = parser.parse_args()
    settings = read_settings()
    device = choose_device(settings.device)
    model = load_generator(settings, device)
    detector, critic = load_detector(settings, device), load_critic(settings, device)
    measure = calibration_for(load_generator_calibration(settings), detector, critic, model.model_id)
    inspector = Inspector(detector=detector, critic=critic, native_px=model.native_px, calibration=measure)
    prompts = [line.strip() for line in arguments.prompts.read_text("utf-8").splitlines() if line.strip()]
    runs = list(
        tqdm(
            watched_runs(model, inspector, prompts, arguments.count, arguments.seed, arguments.fractions),
            total=arguments.count,
        )
    )
    thresholds, figures = fitted(runs, model, detector, arguments.most_false_aborts)
    out = arguments.out or detector_path(settings).parent / THRESHOLDS_FILE
    thresholds.save(out)
    json.dump({"written": str(out), **figures}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
