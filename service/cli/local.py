"""The backend in this process, with models that are loaded for it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

from service.cli.backend import Made, Seen
from service.cli.console import progress_bars, waiting
from service.core.report import RepairReport
from service.core.requests import RepairRequest
from service.engine.protocol import Engine, load_engine
from service.images.decode import Upload, UploadLimits, read_image, read_mask
from service.images.encode import encode_image
from service.images.report_sheet import detection_sheet, repair_sheet
from service.runtime.library_env import set_library_env
from service.runtime.settings import Settings
from service.schemas.answer_builder import (
    detections_answer,
    facts_of,
    image_answer,
    model_facts,
    picture_png,
    told_of,
)
from service.schemas.answers import ModelsAnswer
from service.schemas.requests import DetectBody, GenerateBody, RepairUpload


class Local:
    """The backend in this process. Pictures are read before the models: a mistake is reported at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def generate(self, body: GenerateBody) -> Made:
        """Generates pictures, see ``Backend``."""
        engine = self._engine()
        with progress_bars() as listener:
            return _made(engine.generate(body.to_request(), listener))

    def repair(self, picture: bytes, body: RepairUpload, mask: bytes | None, dry_run: bool) -> Made:
        """Repairs a picture, see ``Backend``."""
        limits = UploadLimits.of(self._settings)
        upload = read_image(picture, limits)
        wish = RepairRequest(
            image=upload.image,
            prompt=body.prompt,
            negative_prompt=body.negative_prompt,
            seed=body.seed,
            params=body.params,
            mask=None if mask is None else read_mask(mask, limits, upload.image.shape[:2]),
            dry_run=dry_run,
        )
        engine = self._engine()
        with progress_bars() as listener:
            return _made([engine.repair(wish, listener)], upload)

    def detect(self, picture: bytes, body: DetectBody) -> Seen:
        """Detects body parts, see ``Backend``."""
        image = read_image(picture, UploadLimits.of(self._settings)).image
        engine = self._engine()
        seen = engine.detect(image, body.conf).by_confidence()
        height, width = image.shape[:2]
        heat = encode_image(engine.heatmap(image, seen)) if body.heatmap else None
        return Seen(
            width,
            height,
            detections_answer(seen, engine.class_names),
            lambda: encode_image(detection_sheet(image, seen, engine.class_names)),
            heat,
        )

    def models(self) -> ModelsAnswer:
        """Returns the loaded models, see ``Backend``."""
        engine = self._engine()
        cards = [model_facts(card) for card in engine.models()]
        return ModelsAnswer(models=cards, class_names=list(engine.class_names))

    def _engine(self) -> Engine:
        set_library_env(self._settings)
        with waiting("loading the models"):
            return load_engine(self._settings)


def _made(reports: Sequence[RepairReport], upload: Upload | None = None) -> Made:
    reports = [told_of(report, upload) for report in reports]
    pngs = [picture_png(report, upload) for report in reports]
    images = [
        image_answer(report, "", hashlib.sha256(png).hexdigest(), None, [None] * len(report.regions))
        for report, png in zip(reports, pngs, strict=True)
    ]
    answer = facts_of(uuid.uuid4().hex, reports, images)
    return Made(answer, pngs, lambda: encode_image(repair_sheet(reports)))
