"""Trace context in, spans out."""

import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from structlog.testing import capture_logs

from gateway.telemetry.tracing import Tracing, open_tracing, trace_context, trace_id

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"
PREDICTION = {
    "started_ns": 1_800_000_000_000_000_000,
    "ended_ns": 1_800_000_000_000_750_000,
    "route": "fraud",
    "arm": "canary",
    "model_version": "17",
    "decision_id": "0123456789abcdef01234567",
    "reason": "WEIGHTED",
}


def headers(parent: str | bytes, state: bytes | None = None) -> dict[bytes, bytes]:
    sent = {b"traceparent": parent.encode() if isinstance(parent, str) else parent}
    return sent if state is None else {**sent, b"tracestate": state}


@pytest.mark.parametrize(
    "parent", [GOOD, f"00-{TRACE}-{SPAN}-00", f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-more"]
)
def test_a_valid_trace_context_is_taken(parent):
    assert trace_id(headers(parent)) == TRACE
    assert trace_context(headers(parent)) == {"traceparent": parent}


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "x",
        GOOD.upper(),
        GOOD + "-more",
        GOOD + "-",
        GOOD + " ",
        GOOD + "\n",
        " " + GOOD,
        GOOD[:-1],
        GOOD + "0",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-zz",
        f"00_{TRACE}_{SPAN}_01",
        f"cc-{TRACE}-{SPAN}-01-" + "x" * 10_000,
        b"\xff" * 55,
        "٠٠-" + GOOD[3:],
    ],
)
def test_an_invalid_trace_context_is_none(parent):
    sent = headers(parent, b"vendor=1")
    assert trace_id(sent) == ""
    assert trace_context(sent) == {}


def test_no_trace_context_is_none():
    assert trace_id({b"host": b"x"}) == ""
    assert trace_context({b"tracestate": b"vendor=1"}) == {}


@given(st.binary(max_size=80))
def test_no_bytes_make_it_fail(parent):
    assert len(trace_id(headers(parent))) in (0, 32)


@pytest.mark.parametrize(
    ("state", "taken"),
    [(b"vendor=1,other=2", "vendor=1,other=2"), (b"", None), (b"x" * 513, None), (b"a=\xff", None), (b"a=1\nb", None)],
)
def test_a_trace_state_is_taken_if_it_is_valid(state, taken):
    assert trace_context(headers(GOOD, state)).get("tracestate") == taken


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter) -> TracerProvider:
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


@pytest.fixture
def tracing(provider) -> Tracing:
    return Tracing(provider, provider.shutdown)


def test_a_prediction_is_one_span_below_the_clients(tracing, exporter):
    tracing.record_prediction(headers(GOOD, b"vendor=1"), **PREDICTION)
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind) == ("predict fraud", trace.SpanKind.SERVER)
    assert (span.start_time, span.end_time) == (PREDICTION["started_ns"], PREDICTION["ended_ns"])
    assert trace.format_trace_id(span.context.trace_id) == TRACE
    assert trace.format_span_id(span.parent.span_id) == SPAN
    assert span.parent.is_remote
    assert span.context.trace_state.get("vendor") == "1"
    assert dict(span.attributes) == {
        "pointsman.route": "fraud",
        "pointsman.arm": "canary",
        "pointsman.model.version": "17",
        "pointsman.decision_id": "0123456789abcdef01234567",
        "pointsman.reason": "WEIGHTED",
    }
    assert span.status.status_code is trace.StatusCode.UNSET


def test_without_a_trace_context_a_prediction_is_a_trace_of_its_own(tracing, exporter):
    for sent in ({}, headers("rubbish"), {}):
        tracing.record_prediction(sent, **PREDICTION)
    spans = exporter.get_finished_spans()
    assert [span.parent for span in spans] == [None, None, None]
    assert len({span.context.trace_id for span in spans}) == 3


def test_the_current_span_of_the_process_is_not_taken_for_the_parent(tracing, provider, exporter):
    with provider.get_tracer("other").start_as_current_span("other"):
        tracing.record_prediction({}, **PREDICTION)
    assert exporter.get_finished_spans()[0].parent is None


def test_a_failure_sets_the_status_of_the_span(tracing, exporter):
    tracing.record_prediction(headers(GOOD), **PREDICTION, failure="The model failed.")
    (span,) = exporter.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (trace.StatusCode.ERROR, "The model failed.")


def test_the_sampling_decision_of_the_client_is_followed(exporter):
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(1.0)), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = Tracing(provider, provider.shutdown)
    tracing.record_prediction(headers(f"00-{TRACE}-{SPAN}-00"), **PREDICTION)
    assert exporter.get_finished_spans() == ()


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.fixture
def environment(monkeypatch) -> Iterator[pytest.MonkeyPatch]:
    """Return a monkeypatch for the environment, in a process without a tracer provider."""
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: trace.ProxyTracerProvider())
    return monkeypatch


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "True"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_there_are_no_spans_unless_the_operator_wants_them(environment, environ):
    assert open_tracing(environ) is None


def test_a_provider_that_is_set_for_the_process_is_used_and_left_open(environment, provider, exporter):
    environment.setattr(trace, "get_tracer_provider", lambda: provider)
    tracing = open_tracing({})
    tracing.record_prediction(headers(GOOD), **PREDICTION)
    tracing.close()
    tracing.record_prediction(headers(GOOD), **PREDICTION)
    assert len(exporter.get_finished_spans()) == 2


@pytest.mark.parametrize(
    ("environ", "service"),
    [
        ({}, "pointsman"),
        ({"OTEL_SERVICE_NAME": "checkout"}, "checkout"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop"}, "shop"),
    ],
)
def test_an_endpoint_alone_is_enough(environment, exporter, environ, service):
    for name, value in environ.items():
        environment.setenv(name, value)
    environment.setattr(
        "gateway.telemetry.tracing.importlib.import_module",
        lambda _: type("M", (), {"OTLPSpanExporter": lambda: exporter}),
    )
    tracing = open_tracing({**ENDPOINT, **environ})
    tracing.record_prediction(headers(GOOD), **PREDICTION)
    tracing.close()
    (span,) = exporter.get_finished_spans()
    assert span.resource.attributes["service.name"] == service


def test_a_collector_that_hangs_does_not_delay_the_end(environment):
    released = threading.Event()

    class Hanging(InMemorySpanExporter):
        def export(self, spans):
            released.wait()
            return super().export(spans)

    environment.setattr("gateway.telemetry.tracing._END_S", 0.01)
    environment.setattr(
        "gateway.telemetry.tracing.importlib.import_module", lambda _: type("M", (), {"OTLPSpanExporter": Hanging})
    )
    tracing = open_tracing(ENDPOINT)
    tracing.record_prediction(headers(GOOD), **PREDICTION)
    tracing.close()
    released.set()


def test_the_exporter_that_the_protocol_names_is_imported(environment):
    imported = []

    def note(name: str) -> object:
        imported.append(name)
        raise ImportError(name)

    environment.setattr("gateway.telemetry.tracing.importlib.import_module", note)
    for protocol in ({}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}):
        with capture_logs() as logs:
            assert open_tracing({**ENDPOINT, **protocol}) is None
        assert logs[0]["event"] == "gateway.tracing.no_exporter"
        assert "pip install" in logs[0]["advice"]
    assert [name.split(".")[4] for name in imported] == ["http", "grpc"]


def test_an_unknown_protocol_is_logged(environment):
    with capture_logs() as logs:
        assert open_tracing({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "carrier-pigeon"}) is None
    assert logs[0]["protocol"] == "carrier-pigeon"


def test_an_sdk_that_is_not_installed_is_logged(environment, exporter):
    environment.setattr(
        "gateway.telemetry.tracing.importlib.import_module",
        lambda _: type("M", (), {"OTLPSpanExporter": lambda: exporter}),
    )
    environment.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with capture_logs() as logs:
        assert open_tracing(ENDPOINT) is None
    assert [entry["event"] for entry in logs] == ["gateway.tracing.no_exporter"]
