"""Whether one version can answer for another, as all that answer on one route must.

Callers see one signature on a route. Arms may differ in what callers do not see: see `runtimes.adapted`.
"""

from registry_sync.version import Version
from router.errors import Rejected
from runtimes.adapted import difference
from runtimes.constant import runtime as constant
from runtimes.manifest import Signature


def seen_alike(what: str, version: Version, other_what: str, other: Version) -> Version:
    """Return a version behind the signature of another one.

    Raises:
        Rejected: callers would see that it is another model.
    """
    signature = other.manifest.signature
    clause, advice = _difference(version.own or version, signature)
    if clause:
        raise Rejected(
            f"{what} ({version.key}) has another signature than {other_what} ({other.key}): {clause}. "
            f"All that answer on a route must take and give the same tensors; {advice}."
        )
    return version.seen_as(signature)


def _difference(own: Version, signature: Signature) -> tuple[str, str]:
    """Return why a version cannot answer under a signature, and what could be done about it."""
    if isinstance(own.runtime, constant.ConstantRuntime):
        return constant.difference(own.runtime.value, signature), "a value needs a key for each output of the model"
    return difference(own.manifest.signature, signature), "`source` in model.yaml can rename one"
