"""The paths of predictions over HTTP: of V2, of V1, of MLflow's scoring server and of SageMaker's runtime."""

from functools import lru_cache
from typing import Literal, NamedTuple

from router.errors import UnknownRoute

_V2, _V1 = "/v2/models/", "/v1/models/"
_V1_PINS = ("versions", "labels")  # TensorFlow Serving's words for a version and an alias
_INFER, _PREDICT = "/infer", ":predict"
INVOCATIONS = "/invocations"
_ENDPOINTS = "/endpoints/"
_MOST_REMEMBERED = 256
"""Longer paths are parsed each time. Every client may send them, and they may be as long as a head: 32 KiB."""


Protocol = Literal["v2", "v1", "mlflow", "sagemaker"]


class PredictionPath(NamedTuple):
    """What the path of a prediction names. `version` is None unless the path pins one.

    MLflow's path names no route: `route` is empty.
    """

    protocol: Protocol
    route: str
    version: str | None = None

    @property
    def is_scoring(self) -> bool:
        """True if the body is one of MLflow's or SageMaker's."""
        return self.protocol in ("mlflow", "sagemaker")

    @property
    def door(self) -> str:
        """The protocol's name in the log: v2, v1 or invocations."""
        return "invocations" if self.is_scoring else self.protocol


def is_prediction(path: str) -> bool:
    """Return True if this path asks for a prediction, and not for something of the FastAPI application."""
    if path.startswith(_V2):
        return path.endswith(_INFER, len(_V2)) or path.endswith("/infer/", len(_V2))
    if path.startswith(_V1):
        return path.endswith(_PREDICT)
    return path == INVOCATIONS or is_of_sagemaker(path)


def is_of_sagemaker(path: str) -> bool:
    """Return True if SageMaker's runtime client asks for a prediction here."""
    return path.startswith(_ENDPOINTS) and path.endswith(INVOCATIONS, len(_ENDPOINTS))


def parse_path(path: str) -> PredictionPath:
    """Read protocol, route and version out of the path of a prediction.

    Raises:
        UnknownRoute: the path does not have the form of its protocol.
    """
    return _remembered(path) if len(path) <= _MOST_REMEMBERED else _parsed(path)


def _parsed(path: str) -> PredictionPath:
    if path == INVOCATIONS:
        return PredictionPath("mlflow", "")
    if path.startswith(_ENDPOINTS):
        route = path[len(_ENDPOINTS) :].removesuffix(INVOCATIONS)
        if route and "/" not in route:
            return PredictionPath("sagemaker", route)
        raise UnknownRoute(f"{path} is not of the form /endpoints/ROUTE/invocations.")
    if path.startswith(_V1):
        route = path[len(_V1) :].removesuffix(_PREDICT)
        if "/" not in route:
            return PredictionPath("v1", route)
        name, kind, version = (*route.split("/"), "", "")[:3]
        if name and version and kind in _V1_PINS and route.count("/") == 2:
            return PredictionPath("v1", name, version)
        raise UnknownRoute(f"{path} is not of the form /v1/models/ROUTE:predict.")
    parts = path.rstrip("/").split("/")
    if len(parts) == 5 and parts[3]:
        return PredictionPath("v2", parts[3])
    if len(parts) == 7 and parts[4] == "versions" and parts[3] and parts[5]:
        return PredictionPath("v2", parts[3], parts[5])
    raise UnknownRoute(f"{path} is not of the form /v2/models/ROUTE[/versions/VERSION]/infer.")


_remembered = lru_cache(maxsize=1024)(_parsed)
