"""Cards of the loaded models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from detectors.protocols import Critic, Detector, guide_in
from service.core.model_card import ModelCard
from service.diffusion.model import DiffusionModel, SamplingDefaults
from service.repair.methods.redraw import Inpainter


@dataclass(frozen=True, slots=True, eq=False)
class Roles:
    """The loaded models by role.

    Attributes:
        generator: generates pictures.
        inpainter: redraws regions; may be the generator.
        detector: finds parts and defects.
        critic: scores crops for the gate; None if there is none.
    """

    generator: DiffusionModel
    inpainter: Inpainter
    detector: Detector
    critic: Critic | None


def model_cards(roles: Roles, sources: Mapping[str, str], own_conf: Mapping[str, float]) -> list[ModelCard]:
    """Returns a card for each loaded model.

    Args:
        roles: the models.
        sources: origin of the model of each role.
        own_conf: least score of each class in the generator's own pictures, by class name.
    """
    generator, detector, critic = roles.generator, roles.detector, roles.critic
    size_hw = generator.defaults.height, generator.defaults.width
    scores: dict[str, object] = {
        "conf": dict(detector.default_conf),
        "conf_own_pictures": dict(own_conf),
        "gradient": guide_in(detector) is not None,
    }

    def card(
        role: str,
        model: DiffusionModel | Detector | Critic,
        family: str,
        size_hw: tuple[int, int] | None,
        defaults: Mapping[str, object],
    ) -> ModelCard:
        limits = model.limits if isinstance(model, DiffusionModel) else None
        return ModelCard(
            role=role,
            id=model.model_id,
            source=sources.get(role, ""),
            family=family,
            native_size_hw=size_hw,
            defaults=defaults,
            limits=limits,
        )

    cards = [
        card("generator", generator, generator.family, size_hw, _told(generator.defaults)),
        card("detector", detector, type(detector).__name__, None, scores),
    ]
    redraws = roles.inpainter
    if isinstance(redraws, DiffusionModel) and redraws is not generator:
        side = redraws.native_px
        cards.append(card("inpainter", redraws, redraws.family, (side, side), _told(redraws.defaults)))
    if critic is not None:
        cards.append(card("critic", critic, type(critic).__name__, None, {"threshold": critic.threshold}))
    return cards


def _told(defaults: SamplingDefaults) -> dict[str, object]:
    """Returns the defaults as a mapping; settings that are None are left out of those by class."""
    said = {
        name: {key: value for key, value in asdict(settings).items() if value is not None}
        for name, settings in defaults.per_class.items()
    }
    return asdict(defaults) | {"per_class": said}
