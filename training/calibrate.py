"""Fits the critic's and the judge's probabilities to each body part, on pictures labelled by eye.

``python -m training.calibrate --net critic --model models/critic --eyes DIR``

A network that is too strict with hands and too lenient with limbs wants a threshold of its own for each. What
is stored is how far to shift the logit, so that one threshold serves all. It is the one with the highest
recall less false alarms (Youden 1950), of those with not too many alarms: a critic that refuses every second
good limb leaves nothing repaired. Where a stretch of scores does equally well, its middle.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from detectors.critic import CONFIG_FILE, WEIGHTS_FILE, critic_crop, read_weights, to_input
from training.critic import NETS
from training.labelled import Seen, read_labelled

BATCH_CROPS = 64


@torch.inference_mode()
def read_logits(net_name: str, model: Path, seen: Sequence[Seen]) -> NDArray[np.float32]:
    """The network's logit of each part, (N,)."""
    kind, px, context = NETS[net_name]
    net = kind().eval()
    net.load_state_dict(read_weights(model / WEIGHTS_FILE))
    crops = [critic_crop(one.image, one.xyxy, px, context) for one in seen]
    starts = range(0, len(crops), BATCH_CROPS)
    return np.concatenate([net(to_input(crops[at : at + BATCH_CROPS]))[:, 0].numpy() for at in starts])


def best_cut(
    scores: NDArray[np.float32], malformed: list[bool], most_alarms: float = 1.0
) -> tuple[float, float, float]:
    """From which score to call something malformed.

    Args:
        scores: (N,), higher is more malformed.
        malformed: the truth, with at least one of each.
        most_alarms: share of what is well-formed that may be called malformed, if any cut allows it.

    Returns:
        The score, and recall and false alarms there.
    """
    truth, values = np.array(malformed), np.unique(scores)
    cuts = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
    over = scores[None] >= cuts[:, None]
    recall, alarms = over[:, truth].mean(axis=1), over[:, ~truth].mean(axis=1)
    gain = np.where(alarms <= max(most_alarms, alarms.min()), recall - alarms, -1.0)
    best = np.flatnonzero(gain >= gain.max() - 1e-9)
    middle = best[len(best) // 2]
    return float(cuts[middle]), float(recall[middle]), float(alarms[middle])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", choices=list(NETS), required=True)
    parser.add_argument("--model", type=Path, required=True, help="folder of the weights")
    parser.add_argument("--eyes", type=Path, required=True, help="labelled pictures, for choosing only")
    parser.add_argument("--most-alarms", type=float, default=0.3, help="share of well-formed parts, for each")
    args = parser.parse_args()
    path = args.model / CONFIG_FILE
    config = json.loads(path.read_text("utf-8"))
    level = float(np.log(config["threshold"] / (1 - config["threshold"])))
    config["shifts"] = {}
    seen = read_labelled(args.eyes)
    logits = read_logits(args.net, args.model, seen)
    for part in sorted({one.part for one in seen}):
        rows = [i for i, one in enumerate(seen) if one.part == part]
        malformed = [seen[i].malformed for i in rows]
        cut, recall, alarms = best_cut(logits[rows], malformed, args.most_alarms)
        config["shifts"][part] = round(cut - level, 3)
        bad, good = sum(malformed), len(malformed) - sum(malformed)
        print(f"{part}: {cut - level:+.2f}, {recall:.0%} of {bad} recalled, {alarms:.0%} of {good} alarmed")
    path.write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
