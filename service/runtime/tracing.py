"""Traces by setting: spans of requests and jobs, sent by OpenTelemetry's protocol over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.core.errors import InvalidSettings
from service.runtime.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_PATH = "/v1/traces"


def tracer_provider(settings: Settings, process: str) -> TracerProvider | None:
    """What makes spans and sends them; None if the settings name nowhere to send them.

    Whoever asks for it shuts it down in the end: that sends the last spans.

    Args:
        settings: where to send spans.
        process: which one this is, as every span tells: ``web`` or ``worker``.

    Raises:
        InvalidSettings: if what is needed for it is not installed.
    """
    if not settings.otlp_endpoint:
        return None
    try:
        # An optional part of the installation, wanted by those only who collect traces.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise InvalidSettings(
            "ANATOMEND_OTLP_ENDPOINT: traces need more than is installed",
            allowed="pip install 'anatomend[tracing]'",
        ) from error
    endpoint = settings.otlp_endpoint.rstrip("/").removesuffix(_PATH) + _PATH
    about = {"service.name": f"anatomend-{process}"}
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    return provider
