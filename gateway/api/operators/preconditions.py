"""Which version of a document a caller has seen, as HTTP says it. Decides."""

from gateway.errors import BadRequest, PreconditionMissing

_MAX_VERSION_DIGITS = 18


def seen_version(if_match: str | None) -> int | None:
    """The version that the caller has seen; None if he does not say.

    Raises:
        BadRequest: it is no version.
    """
    if if_match is None:
        return None
    version = if_match.strip().strip('"')
    if not (version.isascii() and version.isdigit() and len(version) <= _MAX_VERSION_DIGITS):
        raise BadRequest(f'If-Match is {if_match}; it must be a version such as "3".')
    return int(version)


def replaced_version(if_match: str | None, if_none_match: str | None) -> int:
    """The version that the caller replaces; 0 for none.

    Raises:
        PreconditionMissing: he does not say.
        BadRequest: it is no version.
    """
    if if_match is None and if_none_match == "*":
        return 0
    seen = seen_version(if_match)
    if seen is None:
        raise PreconditionMissing(
            'Say which version you are replacing with If-Match: "VERSION" (GET shows it as ETag), '
            "or that the route is new with If-None-Match: *."
        )
    return seen
