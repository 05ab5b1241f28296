"""The tags that a route requires of a version before an alias leads to it, when an operator's command follows an alias.

The companion asks for tags in its own way (`gateway.control.follower`), which does not wait.
"""

from gateway.control.version_loader import DetailedVersions
from router.document.document import Candidate
from router.errors import Rejected
from router.spec.required_tags import missing_tags
from router.spec.spec import ArmRef, RouteSpec


def require_tags(versions: DetailedVersions, spec: RouteSpec, ref: ArmRef, named: Candidate) -> None:
    """Reject a version that an alias names and that lacks a required tag.

    What was read last may be half a minute old, so nothing is rejected for it: an operator may have just set the tag.

    Raises:
        Rejected: it lacks one.
        UnknownModel, ModelRefused, RegistryUnavailable: its tags cannot be read.
    """
    if ref.alias is None or not spec.require_tags:
        return
    missing = missing_tags(spec.require_tags, versions.details(ref.model, named.version).tags)
    if missing:
        missing = missing_tags(spec.require_tags, versions.fresh_details(ref.model, named.version).tags)
    if missing:
        raise Rejected(
            f"{ref} names version {named.version}, which lacks the tag {missing} in the registry; "
            f"route {spec.route} requires it."
        )
