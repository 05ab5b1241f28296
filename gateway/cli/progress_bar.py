"""A progress bar on standard error, for commands that read long logs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that is told what is done, how much of it, and of how much. Only a terminal shows it."""
    from rich.console import Console
    from rich.progress import Progress  # slow to import, and not needed to show the help

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def show(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield show
