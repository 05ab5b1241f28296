"""Durations and weights as people say them. Decides."""

from collections.abc import Mapping

_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def spoken_duration(seconds: float) -> str:
    """`0.4s`, `42s`, `3m 20s`, `2h 5m`: two units at most, the smaller one left out where it is zero."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    index = next(index for index, (_, length) in enumerate(_UNITS) if whole >= length)
    name, length = _UNITS[index]
    said = f"{whole // length}{name}"
    if index + 1 < len(_UNITS):
        smaller_name, smaller = _UNITS[index + 1]
        if whole % length // smaller:
            said += f" {whole % length // smaller}{smaller_name}"
    return said


def spoken_weights(weights: Mapping[str, str]) -> str:
    """`stable=95% canary=5%`."""
    return " ".join(f"{arm}={weight}" for arm, weight in weights.items())
