"""Traces, if set: spans of requests and jobs, sent by OpenTelemetry's protocol over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.core.errors import InvalidSettings
from service.runtime.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_PATH = "/v1/traces"


def tracer_provider(settings: Settings, process: str) -> TracerProvider | None:
    """Returns a provider that sends spans; None if the settings have no address for them.

    The caller must shut it down in the end: that sends the last spans.

    Args:
        settings: the address for spans.
        process: the name of the process in every span: ``web`` or ``worker``.

    Raises:
        InvalidSettings: if the required packages are not installed.
    """
    if not settings.otlp_endpoint:
        return None
    try:
        # An optional dependency, needed only to collect traces.
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
