"""Thresholds of the gate: tuned to the models that judge, so part of their calibration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GateParams:
    """Limits by which a candidate is accepted or rejected. The defaults are those of the bundled models.

    Attributes:
        share: an accepted region stays below this share of the score at which a defect is called one.
        max_doubt: largest threshold that is believed; one set high to raise few alarms says nothing about
            how sure one is that a defect is gone.
        max_fused_doubt: the same on the scale of the fused score (decision 11).
        doubt_share: of the limit, from which "more malformed than well-formed" is doubtful.
        least_conf: least detector score that is read at all.
        max_seam: largest colour step across the mask's edge, relative to the one before. Mottled patches
            that anyone sees measured 1.42 and more on smooth ground.
        max_foreign_colour: largest share of the mask in a colour that was not there before (decision 13).
        conf_noise: a rise of the detector's score within this is not "worse".
        critic_noise: the same of the critic's probability.
        same_defect_iou: boxes that overlap so much are the same defect.
        near_iou: a box speaks of a region from this overlap on.
        near_containment: or if this share of one lies in the other.
        presence_share: a part counts as still there from this share of its threshold on.
        body_containment: a body holds a region if this share of the region lies in it.
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
"""The bundled models' own."""
