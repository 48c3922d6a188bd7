"""The composition root: it loads the models once and turns each request into a report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from detectors.body_parts import is_malformed
from detectors.detections import Detections, Image
from detectors.protocols import Critic, Detector
from service.core.errors import InvalidRequest
from service.core.listener import SILENT, Listener
from service.core.model_card import ModelCard
from service.core.model_limits import EngineLimits, ModelLimits
from service.core.params import Method, RepairParams
from service.core.regions import Region
from service.core.report import Outcome, RegionOutcome, RepairReport
from service.core.requests import GenerateRequest, RepairRequest, new_seed
from service.core.runs import Sampling
from service.core.validation import check_conf, check_generate, check_image, check_repair
from service.diffusion.model import DiffusionModel
from service.engine.loading import (
    choose_device,
    load_critic,
    load_detector,
    load_generator,
    load_generator_calibration,
    load_inpainter,
    load_preview_thresholds,
    load_upload_calibration,
    repair_model_of,
)
from service.engine.methods import repair_methods
from service.engine.model_info import Roles, model_cards
from service.engine.outcomes import concluded, unused_in_repair, unused_in_watch
from service.engine.unread_prompts import unread_in_picture, unread_in_repair
from service.generation.abort_rules import PreviewThresholds
from service.generation.candidates import Candidates
from service.repair.calibration import ANY_PICTURE, GeneratorCalibration, calibration_for
from service.repair.gate import Gate
from service.repair.gate_params import GATE_PARAMS, GateParams
from service.repair.inspection import Inspection, Inspector
from service.repair.ladder import Ladder, Repaired
from service.repair.methods.base import Methods
from service.repair.methods.redraw import Inpainter
from service.repair.plan import plan_from_mask
from service.repair.prompts import Prompts
from service.runtime.settings import Settings

DRY_RUN_REASON = "looked only: no repair was asked for"


class DiffusionEngine:
    """The engine: up to four loaded models (generator, inpainter, detector, critic) and their use.

    Calls are deterministic: the same request and seed give the same bytes on the same machine. The models
    keep state while they run, so only one call may run at a time; a server with several callers queues them.
    """

    def __init__(
        self,
        generator: DiffusionModel,
        detector: Detector,
        critic: Critic | None = None,
        *,
        inpainter: Inpainter | None = None,
        max_side_px: int = 2048,
        sources: Mapping[str, str] | None = None,
        preview_thresholds: PreviewThresholds | None = None,
        generator_calibration: GeneratorCalibration | None = None,
        upload_calibration: GeneratorCalibration | None = None,
        gate_params: GateParams = GATE_PARAMS,
    ) -> None:
        """Connects the loaded models.

        Args:
            generator: generates pictures, and redraws regions if there is no ``inpainter``.
            detector: finds defects, and inspects the repairs.
            critic: the gate's second model; None for none.
            inpainter: redraws regions in place of the generator.
            max_side_px: largest width or height to generate, in pixels.
            sources: origin of the model of each role, for ``models``.
            preview_thresholds: fitted thresholds of the watch; guessed if None.
            generator_calibration: calibration for the generator's own pictures; it applies only if it was
                fitted for these models.
            upload_calibration: calibration for any other picture; the detector's own thresholds if None.
            gate_params: limits of the gate for any picture.
        """
        self._generator = generator
        self._inpainter = inpainter or generator
        self._detector = detector
        self._critic = critic
        self._max_side_px = max_side_px
        self._sources = sources or {}
        native_px = self._inpainter.native_px
        own = calibration_for(generator_calibration, detector, critic, generator.model_id, gate_params)
        uploads = calibration_for(upload_calibration, detector, critic, ANY_PICTURE, gate_params)
        self._inspector = Inspector(
            detector=detector, critic=critic, native_px=native_px, calibration=uploads
        )
        self._generator_inspector = Inspector(
            detector=detector, critic=critic, native_px=native_px, calibration=own
        )
        redraws = self._inpainter.limits if isinstance(self._inpainter, DiffusionModel) else ModelLimits()
        self._limits = EngineLimits(generator=generator.limits, redraws=redraws)
        self._candidates = Candidates(generator, self._generator_inspector, preview_thresholds)

    @classmethod
    def load(cls, settings: Settings) -> DiffusionEngine:
        """Loads all models that the settings name. Sets torch's number of threads if the settings do.

        Raises:
            ModelUnavailable: a model cannot be loaded; the message names it.
        """
        if settings.threads:
            torch.set_num_threads(settings.threads)
        device = choose_device(settings.device)
        return cls(
            load_generator(settings, device),
            load_detector(settings, device),
            load_critic(settings, device),
            inpainter=load_inpainter(settings, device),
            max_side_px=settings.max_side_px,
            sources={
                "generator": settings.model,
                "inpainter": repair_model_of(settings),
                "detector": settings.detector,
                "critic": settings.critic,
            },
            preview_thresholds=load_preview_thresholds(settings),
            generator_calibration=load_generator_calibration(settings),
            upload_calibration=load_upload_calibration(settings),
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """The detector's classes, by ``class_id``."""
        return self._detector.class_names

    def models(self) -> list[ModelCard]:
        """Returns the cards of the loaded models: generator, detector, and inpainter and critic if loaded."""
        roles = Roles(self._generator, self._inpainter, self._detector, self._critic)
        return model_cards(roles, self._sources, self._generator_inspector.calibration.conf)

    def detect(self, image: Image, conf: float | None = None) -> Detections:
        """Detects parts in a picture, well-formed and malformed.

        Args:
            image: uint8 RGB (H, W, 3).
            conf: least score in (0, 1) for every class; each class's own default if None.

        Raises:
            InvalidRequest: the picture or the score is invalid.
        """
        check_image(image)
        if conf is not None:
            check_conf(conf)
        return self._inspector.found(
            image, {name: conf or self._detector.default_conf[name] for name in self.class_names}
        )

    def heatmap(self, image: Image, seen: Detections) -> Image:
        """Draws a heat map of the scores of all malformed parts over the picture: uint8 RGB (H, W, 3).

        Args:
            image: uint8 RGB (H, W, 3).
            seen: detections of ``detect`` in the picture.

        Raises:
            InvalidRequest: ``no_gradient``, if the detector is not differentiable.
        """
        return self._inspector.heatmap(image, seen)

    def generate(self, request: GenerateRequest, listener: Listener = SILENT) -> list[RepairReport]:
        """Generates pictures from a prompt; inspects and repairs each.

        Picture ``i`` equals that of a request for one picture with ``seed + i * request.seeds_per_image``.
        Without ``repair`` the pictures are only inspected, so that the report lists their defects.

        Raises:
            InvalidRequest: with a code and the allowed values.
        """
        check_generate(request, self.class_names, self._max_side_px, self._limits)
        self._methods(request.repair or RepairParams())  # raises before the work starts
        first_seed = new_seed() if request.seed is None else request.seed
        prompts = Prompts(request.prompt, request.negative_prompt)
        dry_run = request.repair is None
        unread = unread_in_picture(self._generator, prompts, request.guidance_scale)
        if request.repair is not None:
            unread += unread_in_repair(self._inpainter, prompts, request.repair, unread)
        reports = []
        for i in range(request.num_images):
            timings: dict[str, float] = {}
            with _timed(timings, "generate"):
                made = self._candidates.best(request, first_seed, i, listener)
            params = request.repair or RepairParams()
            look = self._look(self._generator_inspector, made.image, params, timings, listener)
            report = self._report(look, prompts, made.seed, dry_run, timings, listener, i, made.sampling)
            unused = report.unused + unread + unused_in_watch(request.watch)
            reports.append(replace(report, unused=unused))
        return reports

    def repair(self, request: RepairRequest, listener: Listener = SILENT) -> RepairReport:
        """Inspects and repairs one picture of any size.

        Raises:
            InvalidRequest: with a code and the allowed values.
        """
        check_repair(request, self.class_names, self._limits)
        self._methods(request.params)
        seed = new_seed() if request.seed is None else request.seed
        prompts = Prompts(request.prompt, request.negative_prompt)
        timings: dict[str, float] = {}
        if request.mask is None:
            look = self._look(self._inspector, request.image, request.params, timings, listener)
        else:
            plan = plan_from_mask(request.mask, request.params, self._inpainter.native_px)
            look = self._inspector.painted(request.image, plan)
        report = self._report(look, prompts, seed, request.dry_run, timings, listener)
        unread = unread_in_repair(self._inpainter, prompts, request.params)
        return replace(report, unused=report.unused + unread)

    @staticmethod
    def _look(
        inspector: Inspector,
        image: Image,
        params: RepairParams,
        timings: dict[str, float],
        listener: Listener,
    ) -> Inspection:
        listener.progress("detect", 0, 1)
        with _timed(timings, "detect"):
            look = inspector.inspect(image, params)
        listener.progress("detect", 1, 1)
        return look

    def _report(
        self,
        look: Inspection,
        prompts: Prompts,
        seed: int,
        dry_run: bool,
        timings: dict[str, float],
        listener: Listener,
        picture: int = 0,
        sampling: Sampling | None = None,
    ) -> RepairReport:
        listener.found(picture, look.plan.regions)
        gate = Gate(self._detector, self._critic, look.thresholds, look.fusion, look.gate_params)
        if dry_run:
            repaired = Repaired(look.image, tuple(_left_alone(region) for region in look.plan.regions))
        else:
            with _timed(timings, "repair"):
                # The model's best settings were found on generated pictures; an upload may be any picture.
                own = self._inpainter.per_class if sampling is not None else {}
                ladder = Ladder(
                    methods=self._methods(look.plan.params),
                    native_px=self._inpainter.native_px,
                    gate=gate,
                    prompts=prompts,
                    seen=look.seen,
                    own=own,
                )
                repaired = ladder.repair(look.image, look.plan, seed, listener, picture)
        outcome, reason = concluded(outcome_of(repaired.outcomes, gate), look.plan, self.class_names)
        return RepairReport(
            image=repaired.image,
            original=look.image,
            seed=seed,
            outcome=outcome,
            regions=repaired.outcomes,
            models={card.role: card.id for card in self.models()},
            timings_s=timings,
            sampling=sampling,
            unused=unused_in_repair(look.plan),
            reason=reason,
        )

    def _methods(self, params: RepairParams) -> Methods:
        """Returns the repair methods that the loaded models support.

        Raises:
            InvalidRequest: ``no_gradient``, if a gradient is needed and not available.
        """
        guide = self._inspector.guide if params.needs_gradient else None
        methods = repair_methods(self._inpainter, guide if params.may_nudge else None)
        if params.may_nudge and Method.NUDGE not in methods:
            raise InvalidRequest("what redraws cannot be nudged", code="no_gradient", allowed=[Method.REDRAW])
        return methods


def outcome_of(outcomes: Sequence[RegionOutcome], gate: Gate) -> Outcome:
    """Combines the outcomes of a picture's regions.

    A region is settled if it was repaired or has no defect. A well-formed part that the policy ``every``
    redrew without success also counts as settled.
    """
    accepted = [outcome for outcome in outcomes if outcome.accepted]
    undone = [outcome for outcome in outcomes if not outcome.accepted and _needs_repair(outcome, gate)]
    if accepted:
        return Outcome.PARTLY if undone else Outcome.REPAIRED
    return Outcome.UNREPAIRED if undone else Outcome.CLEAN


def _needs_repair(outcome: RegionOutcome, gate: Gate) -> bool:
    region, name = outcome.region, outcome.region.class_name
    return region.is_painted or (is_malformed(name) and outcome.conf_after >= gate.limit(name))


def _left_alone(region: Region) -> RegionOutcome:
    return RegionOutcome(
        region=region, attempts=(), accepted=False, reason=DRY_RUN_REASON, conf_after=region.conf
    )


@contextmanager
def _timed(timings: dict[str, float], phase: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        timings[phase] = timings.get(phase, 0.0) + time.perf_counter() - start
