"""Whether two versions take and give the same tensors, as all that answer on one route must."""

from registry_sync.catalogue import Version
from router.errors import Rejected
from runtimes.manifest import Signature


def require_same_signature(what: str, version: Version, other_what: str, other: Version) -> None:
    """Return if both versions have the same signature.

    Raises:
        Rejected: they differ.
    """
    if _shape_of(version) != _shape_of(other):
        raise Rejected(
            f"{what} ({version.key}) has another signature than {other_what} ({other.key}); "
            "all that answer on a route must take and give the same tensors."
        )


def _shape_of(version: Version) -> list[tuple[str, str, tuple[int, ...]]]:
    """Return the signature without the parts that only the log's readers use."""
    signature: Signature = version.manifest.signature
    return [(spec.name, spec.datatype, spec.shape) for spec in (*signature.inputs, *signature.outputs)]
