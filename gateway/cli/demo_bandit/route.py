"""The demo's bandit."""

from typing import Any

BANNER: dict[str, Any] = {
    "route": "banner",
    # The crowd looks at the arm and not at the model. So the arms share a model that another route serves anyway, and
    # the demo starts as fast as without this route.
    "arms": {"red": "digits:2", "green": "digits:2", "blue": "digits:2"},
    "metrics": {"click": {"window": "5s"}},
    "bandit": {"policy": "thompson", "reward": "click"},
}
WINDOW_S = 5.0
