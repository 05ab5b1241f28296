"""The demo's bandit: a banner in one of three colours. Its arms are values, so nothing is loaded for it."""

from typing import Any

BANNER: dict[str, Any] = {
    "route": "banner",
    "arms": {colour: {"value": {"colour": colour}} for colour in ("red", "green", "blue")},
    "metrics": {"click": {"window": "5s"}},
    "bandit": {"policy": "thompson", "reward": "click"},
}
WINDOW_S = 5.0
REQUEST = b'{"inputs": []}'
"""A request for a banner, as V2 JSON."""
