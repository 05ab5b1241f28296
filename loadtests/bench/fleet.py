"""The servers of one run: started one by one, running side by side, and all stopped when the run ends."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from loadtests.bench.launch import Launch, StartError, Target
from loadtests.bench.processes import Server
from loadtests.bench.setting import Setting
from loadtests.targets.registry import BUILDERS

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Fleet:
    """A context in which servers run. `skipped` holds those that could not be started, with the reason."""

    def __init__(self, setting: Setting) -> None:
        """Keep the setting. No server is started yet."""
        self.running: dict[str, Target] = {}
        self.skipped: dict[str, str] = {}
        self._setting = setting
        self._servers: list[Server] = []

    def start(self, name: str) -> None:
        """Start one server and wait until it is ready. If that fails, the run goes on without it."""
        self._setting.tell(f"starting {name}")
        try:
            target = BUILDERS[name](self._setting)
            if isinstance(target, Launch):
                self._serve(target)
        except (StartError, OSError) as error:
            self.skipped[name] = str(error)
        else:
            self.running[name] = target

    def _serve(self, launch: Launch) -> None:
        server = Server(launch, self._setting.work / f"{launch.name}.log", self._setting.work)
        self._servers.append(server)
        server.wait_ready()

    def __enter__(self) -> Self:
        """Return the fleet, without any server yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop every server that was started, also those that never became ready."""
        self._setting.tell("stopping the servers")
        with _undisturbed():
            for server in reversed(self._servers):
                server.stop()


def end_in_order_on_signals() -> None:
    """Make SIGTERM and SIGHUP end the run in order, as Ctrl-C does."""
    for number in _SIGNALS:
        signal.signal(number, signal.default_int_handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore a second Ctrl-C, which could leave servers behind."""
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
