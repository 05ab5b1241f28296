"""The tags that a version must have in the registry before an alias leads to it."""

from collections.abc import Mapping

from router.errors import Rejected
from router.refusals import short_repr

MAX_TAGS = 16
MAX_TAG_LENGTH = 250


def parse_required_tags(raw: object) -> dict[str, str] | None:
    """Read `{approved: "true"}`.

    Raises:
        Rejected: if it is not a mapping of texts to texts.
    """
    if raw is None or raw == {}:
        return None
    if not isinstance(raw, dict) or len(raw) > MAX_TAGS:
        raise Rejected(f'require_tags must map at most {MAX_TAGS} tags to their values, such as {{approved: "true"}}.')
    for each in (*raw.keys(), *raw.values()):
        if not isinstance(each, str) or not each.isprintable() or len(each) > MAX_TAG_LENGTH:
            raise Rejected(
                f"require_tags has {short_repr(each)}, which is no text of at most {MAX_TAG_LENGTH} printable "
                'characters; write true and numbers in quotes: "true".'
            )
    return dict(raw)


def missing_tags(required: Mapping[str, str] | None, tags: Mapping[str, str]) -> str:
    """Return the required tags that are not there, such as `approved=true`, or an empty text."""
    return ", ".join(f"{key}={value}" for key, value in (required or {}).items() if tags.get(key) != value)
