"""The composition root: loads the models once; one request in, one report out."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch

from detectors.detections import Detections, Image
from detectors.protocols import Critic, Detector, is_malformed
from service.candidates import Candidates
from service.cards import Roles, model_cards
from service.diffusion.decision import PreviewThresholds
from service.diffusion.sampler import DiffusionModel
from service.errors import InvalidRequest
from service.loading import (
    choose_device,
    load_critic,
    load_detector,
    load_generator,
    load_inpainter,
    load_own_thresholds,
    load_preview_thresholds,
    load_upload_thresholds,
    repair_model_of,
)
from service.looking import Looked, Looker
from service.own_thresholds import ANYBODY, OwnThresholds, own_measure
from service.params import Method
from service.repair.guided import Nudger
from service.repair.ladder import Ladder, Repaired
from service.repair.plan import MASK_CLASS, plan_from_mask
from service.repair.redraw import Inpainter
from service.repair.verify import Gate
from service.repair.wording import Wording
from service.report import (
    SILENT,
    GenerateRequest,
    Listener,
    ModelCard,
    Outcome,
    Region,
    RegionOutcome,
    RepairParams,
    RepairReport,
    RepairRequest,
)
from service.runs import Sampling
from service.settings import Settings
from service.validation import check_conf, check_generate, check_image, check_repair

DRY_RUN_REASON = "looked only: no repair was asked for"
SEED_BITS = 32


class Engine:
    """Three loaded models and what is done with them.

    Calls are deterministic: the same request and seed give the same bytes on the same machine. The models
    keep state while they run, so one call at a time; whoever serves several callers queues them.
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
        own_thresholds: OwnThresholds | None = None,
        upload_thresholds: OwnThresholds | None = None,
    ) -> None:
        """Puts loaded parts together.

        Args:
            generator: makes pictures, and redraws unless ``inpainter`` does.
            detector: finds defects, and looks again afterwards.
            critic: the gate's second opinion.
            inpainter: redraws in the generator's place.
            max_side_px: largest width or height to generate.
            sources: where each role was loaded from, for ``models``.
            preview_thresholds: fitted for the watch; guessed if None.
            own_thresholds: what counts in the generator's own pictures, if it was fitted for these models.
            upload_thresholds: what counts in any other picture; the detector's own if None.
        """
        self._generator = generator
        self._inpainter = inpainter or generator
        self._detector = detector
        self._critic = critic
        self._max_side_px = max_side_px
        self._sources = sources or {}
        native_px = self._inpainter.native_px
        own = own_measure(own_thresholds, detector, critic, generator.model_id)
        uploads = own_measure(upload_thresholds, detector, critic, ANYBODY)
        self._looker = Looker(detector, critic, native_px, uploads)
        self._own_looker = Looker(detector, critic, native_px, own)
        self._candidates = Candidates(generator, self._own_looker, preview_thresholds)

    @classmethod
    def load(cls, settings: Settings) -> Engine:
        """Loads all models that the settings name. Sets the process's torch threads if asked to.

        Raises:
            ModelUnavailable: naming what was tried.
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
            own_thresholds=load_own_thresholds(settings),
            upload_thresholds=load_upload_thresholds(settings),
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """The detector's classes, by ``class_id``."""
        return self._detector.class_names

    @property
    def default_size(self) -> tuple[int, int]:
        """Height and width in pixels of a picture for which no size is asked."""
        return self._generator.defaults.height, self._generator.defaults.width

    def models(self) -> list[ModelCard]:
        """The loaded models: generator, detector and, if there are such, what else redraws, and critic."""
        roles = Roles(self._generator, self._inpainter, self._detector, self._critic)
        return model_cards(roles, self._sources, self._own_looker.measure.conf)

    def detect(self, image: Image, conf: float | None = None) -> Detections:
        """What is found in a picture, well-formed and malformed.

        Args:
            image: uint8 RGB (H, W, 3).
            conf: least score in (0, 1) for every class; each class's own default if None.

        Raises:
            InvalidRequest: if the picture or the score cannot be used.
        """
        check_image(image)
        if conf is not None:
            check_conf(conf)
        return self._looker.found(
            image, {name: conf or self._detector.default_conf[name] for name in self.class_names}
        )

    def heatmap(self, image: Image, seen: Detections) -> Image:
        """Where the scores of all that is malformed come from, in colour over the picture.

        Args:
            image: uint8 RGB (H, W, 3).
            seen: what ``detect`` found in it.

        Raises:
            InvalidRequest: ``no_gradient``, if the detector cannot say.
        """
        return self._looker.heatmap(image, seen)

    def generate(self, request: GenerateRequest, listener: Listener = SILENT) -> list[RepairReport]:
        """Pictures from a prompt, each looked through and repaired.

        Picture ``i`` is what a request for one picture with ``seed + i * request.seeds_per_image`` gives.
        Without ``repair`` the picture is looked through only, so that the report says what is wrong with it.

        Raises:
            InvalidRequest: with a code and what is allowed.
        """
        check_generate(request, self.class_names, self._max_side_px)
        self._nudger(request.repair)  # refuses before the work
        first_seed = secrets.randbits(SEED_BITS) if request.seed is None else request.seed
        wording = Wording(request.prompt, request.negative_prompt)
        dry_run = request.repair is None
        reports = []
        for i in range(request.num_images):
            timings: dict[str, float] = {}
            with _timed(timings, "generate"):
                made = self._candidates.best(request, first_seed, i, listener)
            params = request.repair or RepairParams()
            look = self._look(self._own_looker, made.image, params, timings, listener)
            report = self._report(look, wording, made.seed, dry_run, timings, listener, i, made.sampling)
            reports.append(report)
        return reports

    def repair(self, request: RepairRequest, listener: Listener = SILENT) -> RepairReport:
        """One picture of any size, looked through and repaired.

        Raises:
            InvalidRequest: with a code and what is allowed.
        """
        check_repair(request, self.class_names)
        self._nudger(request.params)
        seed = secrets.randbits(SEED_BITS) if request.seed is None else request.seed
        wording = Wording(request.prompt, request.negative_prompt)
        timings: dict[str, float] = {}
        if request.mask is None:
            look = self._look(self._looker, request.image, request.params, timings, listener)
        else:
            plan = plan_from_mask(request.mask, request.params, self._inpainter.native_px)
            look = Looked(request.image, plan, self._looker.thresholds(request.params), frozenset())
        return self._report(look, wording, seed, request.dry_run, timings, listener)

    @staticmethod
    def _look(
        looker: Looker, image: Image, params: RepairParams, timings: dict[str, float], listener: Listener
    ) -> Looked:
        listener.progress("detect", 0, 1)
        with _timed(timings, "detect"):
            look = looker.look(image, params)
        listener.progress("detect", 1, 1)
        return look

    def _report(
        self,
        look: Looked,
        wording: Wording,
        seed: int,
        dry_run: bool,
        timings: dict[str, float],
        listener: Listener,
        picture: int = 0,
        sampling: Sampling | None = None,
    ) -> RepairReport:
        listener.found(picture, look.plan.regions)
        gate = Gate(self._detector, self._critic, look.thresholds, look.fusion)
        if dry_run:
            repaired = Repaired(look.image, tuple(_left_alone(region) for region in look.plan.regions))
        else:
            with _timed(timings, "repair"):
                nudger = self._nudger(look.plan.params)
                # How it redraws best was found out on pictures of its own kind; an upload may be any picture.
                own = self._inpainter.per_class if sampling is not None else {}
                ladder = Ladder(self._inpainter, gate, wording, look.seen, nudger, own)
                repaired = ladder.repair(look.image, look.plan, seed, listener, picture)
        return RepairReport(
            image=repaired.image,
            original=look.image,
            seed=seed,
            outcome=outcome_of(repaired.outcomes, gate),
            regions=repaired.outcomes,
            models={card.role: card.id for card in self.models()},
            timings_s=timings,
            sampling=sampling,
        )

    def _nudger(self, params: RepairParams | None) -> Nudger | None:
        """What bends by the detector's gradient; None if nothing is to be bent.

        Raises:
            InvalidRequest: ``no_gradient``, if a gradient is needed that there is not.
        """
        guide = self._looker.guide if params is not None and params.needs_gradient else None
        if guide is None or params is None or not params.may_nudge:
            return None
        redraws = self._inpainter
        if not isinstance(redraws, DiffusionModel) or not redraws.can_be_tapped:
            raise InvalidRequest("what redraws cannot be nudged", code="no_gradient", allowed=[Method.REDRAW])
        return Nudger(redraws.preview(), guide)


def outcome_of(outcomes: Sequence[RegionOutcome], gate: Gate) -> Outcome:
    """What became of the picture as a whole.

    A region is settled if it was repaired or if nothing is wrong there; a well-formed part that ``every``
    had redrawn and that was kept as it was is nothing left undone.
    """
    accepted = [outcome for outcome in outcomes if outcome.accepted]
    undone = [outcome for outcome in outcomes if not outcome.accepted and _needs_repair(outcome, gate)]
    if accepted:
        return Outcome.PARTLY if undone else Outcome.REPAIRED
    return Outcome.UNREPAIRED if undone else Outcome.CLEAN


def _needs_repair(outcome: RegionOutcome, gate: Gate) -> bool:
    name = outcome.region.class_name
    return name == MASK_CLASS or (is_malformed(name) and outcome.conf_after >= gate.limit(name))


def _left_alone(region: Region) -> RegionOutcome:
    return RegionOutcome(region, (), accepted=False, reason=DRY_RUN_REASON, conf_after=region.conf)


@contextmanager
def _timed(timings: dict[str, float], phase: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        timings[phase] = timings.get(phase, 0.0) + time.perf_counter() - start
