"""Runs one client of its environment: `worker.py MODULE HTTP GRPC`, then one call a line in, one result a line out.

A call is `[operation, {argument: value}]`; a result `{"value": ...}`, or the exception that the client raised.
"""

import importlib
import json
import os
import sys
import traceback
from typing import Any


def main(module: str, http: str, grpc: str) -> None:
    """Make calls until the input ends. What clients print goes to stderr."""
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    client = importlib.import_module(module).Client(http, grpc)
    for line in sys.stdin:
        operation, arguments = json.loads(line)
        try:
            result = {"value": getattr(client, operation)(**arguments)}
        except Exception as error:  # noqa: BLE001  # the test looks at whatever a client raises
            result = {"raised": _described(error)}
        results.write(json.dumps(result) + "\n")
        results.flush()


def _described(error: Exception) -> dict[str, str]:
    return {
        "kind": type(error).__name__,
        "status": _status(error),
        "sentence": str(error),
        "trace": "".join(traceback.format_exception(error)),
    }


def _status(error: Any) -> str:
    """Find the status as the client's users do: tritonclient's own, httpx's, or gRPC's."""
    if callable(getattr(error, "status", None)):
        return str(error.status())
    if getattr(error, "response", None) is not None:
        return str(error.response.status_code)
    if callable(getattr(error, "code", None)):
        return str(error.code())
    return ""


if __name__ == "__main__":
    main(*sys.argv[1:])
