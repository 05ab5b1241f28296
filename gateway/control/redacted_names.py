"""Checks the names in `log.redact` against the signature of a route's versions."""

from gateway.inference.redaction import known_names, unknown_names
from router.errors import Rejected
from router.refusals import short_repr
from router.spec.log import RedactAction
from router.spec.spec import RouteSpec
from runtimes.logged_tensors import feature_names
from runtimes.manifest import Signature

_MOST_NAMED = 10
_OF_TEXTS = (RedactAction.HMAC, RedactAction.TRUNCATE, RedactAction.MASK)


def require_redacted_names(spec: RouteSpec, signature: Signature) -> None:
    """Reject a declaration whose `log.redact` does not fit what callers send.

    Raises:
        Rejected: a name is unknown, an action does not fit its values, or a bandit sees what is to be hidden.
    """
    redact = spec.log.redact
    unknown = unknown_names(signature, redact)
    if unknown:
        there = sorted(known_names(signature))
        named = ", ".join(there[:_MOST_NAMED]) + (", …" if len(there) > _MOST_NAMED else "")
        raise Rejected(
            f"log.redact names {short_repr(unknown[0])}, which is no input and no feature of the route's versions; "
            f"there are {named or 'none'}."
        )
    texts = {each.name for each in signature.inputs if each.datatype == "BYTES"}
    for name, redaction in redact.items():
        if name in texts and redaction.action is RedactAction.BUCKET:
            raise Rejected(f"log.redact.{name} is {redaction}, but it holds texts: use drop, hmac, truncate or mask.")
        if name not in texts and redaction.action in _OF_TEXTS:
            raise Rejected(f"log.redact.{name} is {redaction}, but it holds numbers: use drop or bucket.")
    _require_open_context(spec, signature)


def _require_open_context(spec: RouteSpec, signature: Signature) -> None:
    by_name = {each.name: each for each in signature.inputs}
    for column in () if spec.bandit is None else spec.bandit.context:
        source, name, offset = column.attribute
        tensor = by_name.get(name) if source == "inputs" else None
        names = () if tensor is None else feature_names(tensor, signature.counts_instances(tensor))
        if offset < len(names) and names[offset] in spec.log.redact:
            raise Rejected(
                f"log.redact hides {names[offset]}, and the log keeps what the bandit sees of {column.path}: "
                "leave one of them out."
            )


def redaction_warning(spec: RouteSpec, signature: Signature) -> str:
    """Return what is to be said of a served route whose versions lack a redacted name; an empty text if none does."""
    unknown = unknown_names(signature, spec.log.redact)
    if not unknown:
        return ""
    return (
        f"log.redact names {short_repr(unknown[0])}, which the served versions do not have; so the log keeps no inputs "
        "of them."
    )
