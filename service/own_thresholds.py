"""From which score a defect counts in the pictures that the service's own generator makes.

A threshold that raises few alarms on any picture, most of them well-formed, misses most of what is wrong with
pictures of a small generator, half of whose limbs are malformed. For the generator and the detector that they
were fitted for, these thresholds take the place of the detector's own (``docs/decisions/0010``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from service.errors import ModelUnavailable

OWN_THRESHOLDS_FILE = "generated.json"


@dataclass(frozen=True, slots=True)
class OwnThresholds:
    """Fitted on labelled pictures of one generator.

    Attributes:
        conf: least score of each malformed class, by class name.
        detector: id of the model they were fitted for.
        generator: id of the model that made the pictures.
    """

    conf: Mapping[str, float]
    detector: str
    generator: str

    @classmethod
    def load(cls, path: Path) -> OwnThresholds:
        """Reads what ``save`` wrote.

        Raises:
            ModelUnavailable: if it cannot be read.
        """
        try:
            stored = json.loads(path.read_text("utf-8"))
            conf = {str(name): float(score) for name, score in stored["conf"].items()}
            return cls(conf, stored["detector"], stored["generator"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelUnavailable(f"{path} cannot be read: {error}") from error

    def save(self, path: Path) -> None:
        """Writes JSON, to be kept beside the detector as ``OWN_THRESHOLDS_FILE``."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")

    def over(self, default_conf: Mapping[str, float], detector: str, generator: str) -> Mapping[str, float]:
        """The thresholds to use: these over the detector's own, or its own alone for other models."""
        fits = (detector, generator) == (self.detector, self.generator)
        return {**default_conf, **self.conf} if fits else default_conf
