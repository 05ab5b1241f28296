"""The rows of the table `payloads`: one per request whose bodies are kept."""

from collections.abc import Sequence

import pyarrow as pa

from inference_log.payload import Body, Payload
from inference_log.record import SCHEMA_VERSION, SegmentHeader
from inference_log.schema import PAYLOADS


def payload_table(payloads: Sequence[Payload], header: SegmentHeader) -> pa.Table:
    """Return one row for each request, in their order."""
    columns = {
        "answered_ts": [each.at_us // 1000 for each in payloads],
        "answered_ts_us": [each.at_us for each in payloads],
        "schema_version": [SCHEMA_VERSION] * len(payloads),
        "writer_id": [header.writer_id] * len(payloads),
        **_bodies("request", [each.request for each in payloads]),
        **_bodies("response", [each.response for each in payloads]),
    }
    for name in ("decision_id", "door", "status"):
        columns[name] = [getattr(each, name) for each in payloads]
    return pa.table([pa.array(columns[field.name], field.type) for field in PAYLOADS.columns], schema=PAYLOADS.columns)


def _bodies(name: str, bodies: Sequence[Body]) -> dict[str, list[object]]:
    return {
        name: [each.content for each in bodies],
        f"{name}_bytes": [each.size for each in bodies],
        f"{name}_cut": [len(each.content) < each.size for each in bodies],
        f"{name}_type": [each.kind or None for each in bodies],
        f"{name}_encoding": [each.encoding or None for each in bodies],
        f"{name}_json_bytes": [each.json_bytes for each in bodies],
    }
