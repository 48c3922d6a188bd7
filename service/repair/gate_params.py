"""Thresholds of the gate. They are tuned to the detector and the critic: a part of their calibration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GateParams:
    """Limits for accepting a candidate. The defaults are those of the bundled models.

    Attributes:
        share: an accepted region must score below this share of the defect's threshold.
        max_doubt: upper limit of that threshold; a high threshold, set to raise few alarms, does not prove
            that a defect is gone.
        max_fused_doubt: the same on the scale of the fused score (decision 11).
        doubt_share: share of the limit from which "more malformed than well-formed" is doubtful.
        least_conf: least detector score that is used at all.
        max_seam: largest colour step across the mask's edge, relative to the one before. Visibly mottled
            patches scored 1.42 and more on smooth ground.
        max_foreign_colour: largest share of the mask in a colour that was not there before (decision 13).
        conf_noise: largest rise of the detector's score that is not "worse".
        critic_noise: the same for the critic's probability.
        same_defect_iou: least overlap of two boxes of the same defect.
        near_iou: least overlap at which a box belongs to a region.
        near_containment: least share of one in the other at which a box belongs to a region.
        presence_share: share of its threshold from which a part counts as present.
        body_containment: least share of a region inside a body that holds it.
    """

    share: float = 0.75
    max_doubt: float = 0.4
    max_fused_doubt: float = 0.6
    doubt_share: float = 0.5
    least_conf: float = 0.05
    max_seam: float = 1.35
    max_foreign_colour: float = 0.05
    conf_noise: float = 0.05
    critic_noise: float = 0.1
    same_defect_iou: float = 0.3
    near_iou: float = 0.3
    near_containment: float = 0.6
    presence_share: float = 0.5
    body_containment: float = 0.5


GATE_PARAMS = GateParams()
"""Limits for the bundled models."""
