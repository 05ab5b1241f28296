"""Prints the picture of a rollout's phases: `python docs/rollout_diagram.py > docs/rollout.mmd`. Acts on stdout."""

import sys
from collections.abc import Iterator

from router.document.phase import OPERATORS_WORDS, TRANSITIONS, Event, Phase


def lines() -> Iterator[str]:
    """A Mermaid state diagram; in parentheses is what comes to pass without an operator."""
    yield "stateDiagram-v2"
    yield f"    [*] --> {next(iter(TRANSITIONS))}"
    for phase, row in TRANSITIONS.items():
        for after in Phase:
            words = [_word(event) for event, leads_to in row.items() if leads_to is after]
            if words:
                yield f"    {phase} --> {after}: {', '.join(words)}"


def _word(event: Event) -> str:
    return str(event) if event in OPERATORS_WORDS else f"({event})"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines())
