"""The typed view of a route: its columns are the features and predictions of the models of its arms."""

import math

from gateway.cli.models_validate import resolve
from gateway.settings import Settings
from inference_log.athena.statement import Statement
from inference_log.athena.views import typed_view
from registry_sync.open import open_registry
from router.spec.references import parse_name
from router.spec.spec import ArmRef
from runtimes.logged_tensors import feature_names, label_and_prediction, numeric_inputs, text_inputs
from runtimes.manifest import Signature
from store.open import open_store


def route_view(settings: Settings, route: str) -> Statement:
    """Return the statement that makes the view of a declared route.

    Raises:
        ValueError: there is no such route, or none of its arms has a model.
    """
    signatures = [_signature(settings, ref) for ref in _refs(settings, parse_name(route, "--route"))]
    if not signatures:
        raise ValueError(f"No arm of route {route} has a model, so its view would have no features.")
    numbers = [name for each in signatures for name in _numbers(each)]
    texts = [spec.name for each in signatures for spec in text_inputs(each)]
    predictions = max(map(_predictions, signatures))
    return typed_view(route, list(dict.fromkeys(numbers)), list(dict.fromkeys(texts)), predictions)


def _refs(settings: Settings, route: str) -> list[ArmRef]:
    store = open_store(settings.store)
    try:
        document = store.documents().get(route)
    finally:
        store.close()
    if document is None:
        raise ValueError(f"There is no route {route}.")
    return [ref for ref in document.spec.arms.values() if ref.value is None]


def _signature(settings: Settings, ref: ArmRef) -> Signature:
    found = resolve(ref, settings)
    return open_registry(settings.registry).manifest(found.model, str(found.version)).signature


def _numbers(signature: Signature) -> list[str]:
    return [
        name for spec in numeric_inputs(signature) for name in feature_names(spec, signature.counts_instances(spec))
    ]


def _predictions(signature: Signature) -> int:
    """Return how many numbers an answer has; 0 if it has none, or if their number varies."""
    _, prediction = label_and_prediction(signature)
    if prediction is None:
        return 0
    shape = signature.outputs[prediction[0]].shape
    of_instance = shape[1:] if signature.takes_several else shape
    return 0 if -1 in of_instance else math.prod(of_instance)
