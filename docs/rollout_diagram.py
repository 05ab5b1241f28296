"""Print the diagram of a rollout's phases: `python docs/rollout_diagram.py > docs/rollout.mmd`."""

import sys
from collections.abc import Iterator

from router.document.phase import OPERATOR_EVENTS, TRANSITIONS, Event, Phase


def lines() -> Iterator[str]:
    """Yield a Mermaid state diagram. Events that happen without an operator are in parentheses."""
    yield "stateDiagram-v2"
    yield f"    [*] --> {next(iter(TRANSITIONS))}"
    for phase, row in TRANSITIONS.items():
        for after in Phase:
            words = [_word(event) for event, leads_to in row.items() if leads_to is after]
            if words:
                yield f"    {phase} --> {after}: {', '.join(words)}"


def _word(event: Event) -> str:
    return str(event) if event in OPERATOR_EVENTS else f"({event})"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines())
