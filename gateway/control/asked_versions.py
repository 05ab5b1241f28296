"""Has versions asked requests of a route's log before the route follows an alias to them. Nothing here waits."""

from collections.abc import Callable

from registry_sync.background import Background, Pending, Start, at_once
from registry_sync.version import VersionKey
from router.document.document import Candidate, Document, Followed
from router.spec.spec import CheckSpec
from runtimes.errors import ModelRefused, StillLoading

_RETRY_AFTER_S = 30.0

_Asked = tuple[str, CheckSpec, VersionKey]


class AskedVersions:
    """Used by one thread. `ask` asks a version and waits for it, `has_passed` knows what came of it."""

    def __init__(
        self,
        ask: Callable[[str, CheckSpec, VersionKey], object],
        has_passed: Callable[[str, CheckSpec, VersionKey], bool],
        start: Start = at_once,
    ) -> None:
        self._ask = ask
        self._has_passed = has_passed
        self._asking = Background[_Asked, object](start, _RETRY_AFTER_S)
        self._wanted: set[_Asked] = set()

    def require(self, document: Document, name: str, key: VersionKey) -> None:
        """Require that a version may be bound to an arm, as far as the route's `check` says.

        Versions that the route is bound to, and the one that the arm had before, are not asked: it must be possible to
        go back at once.

        Raises:
            StillLoading: it is being asked.
            ModelRefused: it answers too often otherwise, or it failed.
        """
        check = document.spec.check
        if check is None or name not in document.spec.arms or key.digest in _served(document, name):
            return
        asked = document.spec.route, check, key
        if self._has_passed(*asked):
            return
        self._wanted.add(asked)
        try:
            self._asking.ask(asked, lambda: self._ask(*asked))
        except Pending as pending:
            raise StillLoading(f"{key} is asked requests of the log {pending}") from None
        except ModelRefused:
            raise
        except Exception as error:  # any other fault concerns this version alone, too
            raise ModelRefused(f"{key} could not be asked logged requests: {error!r}.") from error

    def forget_unasked(self) -> None:
        """Forget what was not required since the last call."""
        wanted, self._wanted = self._wanted, set()
        self._asking.retain(wanted.__contains__)


def _served(document: Document, name: str) -> set[str]:
    """Return the digests of what the arms are bound to, and of what this one was bound to before."""
    before = document.followed.get(name, Followed()).before
    known: list[Candidate] = [*document.bound.values(), *([before] if before is not None else [])]
    return {each.digest for each in known}
