"""The paths of predictions over HTTP: V2 (`/v2/models/ROUTE/infer`) and V1 (`/v1/models/ROUTE:predict`)."""

from functools import lru_cache
from typing import NamedTuple

from router.errors import UnknownRoute

_V2, _V1 = "/v2/models/", "/v1/models/"
_V1_PINS = ("versions", "labels")  # TensorFlow Serving's words for a version and an alias
_INFER, _PREDICT = "/infer", ":predict"
_MOST_REMEMBERED = 256
"""Longer paths are parsed each time. Every client may send them, and they may be as long as a head: 32 KiB."""


class PredictionPath(NamedTuple):
    """What the path of a prediction names. `version` is None unless the path pins one."""

    is_v1: bool
    route: str
    version: str | None


def is_prediction(path: str) -> bool:
    """Return True if this path asks for a prediction, and not for something of the FastAPI application."""
    if path.startswith(_V2):
        return path.endswith(_INFER, len(_V2)) or path.endswith("/infer/", len(_V2))
    return path.startswith(_V1) and path.endswith(_PREDICT)


def parse_path(path: str) -> PredictionPath:
    """Read protocol, route and version out of the path of a prediction.

    Raises:
        UnknownRoute: the path does not have the form of its protocol.
    """
    return _remembered(path) if len(path) <= _MOST_REMEMBERED else _parsed(path)


def _parsed(path: str) -> PredictionPath:
    if path.startswith(_V1):
        route = path[len(_V1) :].removesuffix(_PREDICT)
        if "/" not in route:
            return PredictionPath(True, route, None)
        name, kind, version = (*route.split("/"), "", "")[:3]
        if name and version and kind in _V1_PINS and route.count("/") == 2:
            return PredictionPath(True, name, version)
        raise UnknownRoute(f"{path} is not of the form /v1/models/ROUTE:predict.")
    parts = path.rstrip("/").split("/")
    if len(parts) == 5 and parts[3]:
        return PredictionPath(False, parts[3], None)
    if len(parts) == 7 and parts[4] == "versions" and parts[3] and parts[5]:
        return PredictionPath(False, parts[3], parts[5])
    raise UnknownRoute(f"{path} is not of the form /v2/models/ROUTE[/versions/VERSION]/infer.")


_remembered = lru_cache(maxsize=1024)(_parsed)
