"""Pictures for the benches, and the places of the parts in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench.generator import KINDS
from bench.judge import Place
from bench.models import Models
from bench.prompts import prompts
from detectors import boxes
from detectors.body_parts import is_malformed, part_of
from detectors.detections import Image
from service.core.params import RepairParams
from service.core.regions import Region
from service.core.report import RepairReport
from service.core.requests import GenerateRequest, RepairRequest
from service.engine.engine import DiffusionEngine
from service.repair.inspection import Inspector
from training.anatomy.world import read_shard, shards

MALFORMED = 0.5
"""The judge's probability from which a part counts as malformed."""
PART_CONF = 0.25
DEFAULT = RepairParams()


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One picture, what it shows, and, for renders, where the known defect is."""

    image: Image
    kind: str
    prompt: str
    seed: int
    known: Place | None = None


def parts_of(engine: DiffusionEngine, image: Image) -> list[Place]:
    """All hands and limbs, however they look; overlapping ones counted once."""
    found = engine.detect(image, PART_CONF).by_confidence()
    names = [part_of(engine.class_names[i]) for i in found.class_id]
    kept: list[Place] = []
    for xyxy, name in zip(found.xyxy, names, strict=True):
        known = [place.xyxy for place in kept]
        if name in ("hand", "limb") and (not kept or boxes.iou([xyxy], known).max() < 0.6):
            kept.append(Place(name, [float(v) for v in xyxy]))
    return kept


def place_of(region: Region) -> Place:
    """Returns the place of a planned region: its part and its box."""
    return Place(part_of(region.class_name), region.xyxy)


def serve(engine: DiffusionEngine, case: Case, params: RepairParams = DEFAULT) -> RepairReport:
    """Returns the service's report: renders are repaired as uploads, other cases generated and repaired."""
    if case.known is None:
        return engine.generate(GenerateRequest(prompt=case.prompt, seed=case.seed, repair=params))[0]
    return engine.repair(RepairRequest(image=case.image, prompt=case.prompt, seed=case.seed, params=params))


def inspector_of(models: Models, case: Case) -> Inspector:
    """Returns the inspector that the service uses for such a picture."""
    return models.inspector(own=case.known is None)


def generated(engine: DiffusionEngine, count: int, seed: int) -> list[Case]:
    """Pictures as they come, all kinds in turn; no seed is left out."""
    cases = []
    for index in tqdm(range(count), desc="generate"):
        kind = KINDS[index % len(KINDS)]
        prompt = prompts(kind)[index // len(KINDS) % 50]
        made = engine.generate(GenerateRequest(prompt=prompt.text, seed=seed + index, repair=None))[0]
        cases.append(Case(made.image, kind, prompt.text, seed + index))
    return cases


def rendered(folder: Path, count: int) -> list[Case]:
    """The first malformed renders of each kind in turn."""
    by_kind: dict[str, list[Case]] = {kind: [] for kind in KINDS}
    for path in shards(folder):
        for picture, line in zip(*read_shard(path), strict=True):
            bad: list[dict[str, Any]] = [p for p in line["parts"] if is_malformed(p["class_name"])]
            if bad:
                known = Place(part_of(bad[0]["class_name"]), bad[0]["xyxy"])
                case = Case(picture, line["kind"], line["caption"], line["seed"] % 2**31, known)
                by_kind[line["kind"]].append(case)
    return [by_kind[kind][at] for at in range(-(-count // len(KINDS))) for kind in KINDS][:count]
