"""W3C trace context, and one OpenTelemetry span per prediction if the operator wants spans.

The trace id of a client always goes to the inference log. Spans are made only if `OTEL_EXPORTER_OTLP_ENDPOINT` is set,
or if a tracer provider is set for the process. A span is made after the response, with the times at which things
happened. A thread of the SDK sends it.
"""

import importlib
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_log = structlog.get_logger()

Headers = Mapping[bytes, bytes]
"""Names in lower case."""

_TRACEPARENT = re.compile(
    rb"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-.*)?"
)
_TRACESTATE = re.compile(rb"[\x20-\x7e\t]{1,512}")
_MAX_TRACEPARENT = 512
_END_S = 2.0
_SCOPE = "pointsman"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTERS = {
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
}
_PROPAGATOR = TraceContextTextMapPropagator()


def trace_id(headers: Headers) -> str:
    """Return the client's trace id, 32 hexadecimal digits. Return an empty string if there is no valid one."""
    match = _match(headers)
    return "" if match is None else match["trace"].decode()


def trace_context(headers: Headers) -> dict[str, str]:
    """Return the client's trace context as the propagator reads it: `traceparent`, and `tracestate` if it is valid.

    Return an empty dict if there is no valid `traceparent`.
    """
    if _match(headers) is None:
        return {}
    context = {"traceparent": headers[b"traceparent"].decode("latin-1")}
    state = headers.get(b"tracestate")
    if state is not None and _TRACESTATE.fullmatch(state):
        context["tracestate"] = state.decode()
    return context


def _match(headers: Headers) -> re.Match[bytes] | None:
    sent = headers.get(b"traceparent")
    if sent is None or len(sent) > _MAX_TRACEPARENT:
        return None
    match = _TRACEPARENT.fullmatch(sent)
    if match is not None and match["more"] and match["version"] == b"00":
        return None  # only later versions may add fields
    return match


class Tracing:
    """The spans of one replica."""

    def __init__(self, provider: trace.TracerProvider, close: Callable[[], None]) -> None:
        self.close = close
        self._tracer = provider.get_tracer(_SCOPE)

    def record_prediction(
        self,
        headers: Headers,
        *,
        started_ns: int,
        ended_ns: int,
        route: str,
        arm: str,
        model_version: str,
        decision_id: str,
        reason: str,
        failure: str = "",
    ) -> None:
        """Make one span below the client's.

        Times are nanoseconds since the epoch. `failure` is the sentence of an error.
        """
        span = self._tracer.start_span(
            f"predict {route}",
            context=_PROPAGATOR.extract(trace_context(headers)),
            kind=trace.SpanKind.SERVER,
            attributes={
                "pointsman.route": route,
                "pointsman.arm": arm,
                "pointsman.model.version": model_version,
                "pointsman.decision_id": decision_id,
                "pointsman.reason": reason,
            },
            start_time=started_ns,
        )
        if failure:
            span.set_status(trace.Status(trace.StatusCode.ERROR, failure))
        span.end(end_time=ended_ns)


def open_tracing(environ: Mapping[str, str]) -> Tracing | None:
    """Return None unless the operator wants spans. `close` of the result sends the spans that are still waiting."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    provider = trace.get_tracer_provider()
    if not isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return Tracing(provider, lambda: None)  # the code that set the provider also shuts it down
    if not _first(environ, _ENDPOINTS):
        return None
    protocol = _first(environ, _PROTOCOLS) or "http/protobuf"
    try:
        exporter = importlib.import_module(_EXPORTERS[protocol]).OTLPSpanExporter()
        own = _provider(environ, exporter)
    except (ImportError, KeyError) as error:
        _log.warning(
            "gateway.tracing.no_exporter",
            error=str(error),
            protocol=protocol,
            advice="pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http",
        )
        return None
    return Tracing(own, lambda: _shut_down(own))


def _provider(environ: Mapping[str, str], exporter: Any) -> Any:
    """Return a provider of our own. A provider that is set for the process could not be removed again.

    Raises:
        ImportError: opentelemetry-sdk is not installed.
    """
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    is_named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(
        resource=Resource.create({} if is_named else {SERVICE_NAME: _SCOPE}), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _shut_down(provider: Any) -> None:
    """Send the spans that are waiting, within two seconds.

    The SDK tries a collector that is down again and again. That must not delay the end of a replica.
    """
    ending = threading.Thread(target=provider.shutdown, name="tracing-end", daemon=True)
    ending.start()
    ending.join(_END_S)


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")
