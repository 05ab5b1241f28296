"""The suites. The servers of a suite run side by side; suites run one after another."""

from typing import Final

SUITES: Final[dict[str, tuple[str, ...]]] = {
    "http": (
        "ours",
        "bare",
        "mlserver",
        "mlserver-tuned",
        "kserve",
        "kserve-tuned",
        "bentoml",
        "litserve",
        "triton",
    ),
    "composition": ("ours", "serve-composition", "serve-composition-tuned"),
    "grpc": ("ours", "bare-grpc", "triton"),
    "binary": ("ours", "triton"),
    "batches": ("ours", "onnx-loop"),
    "replicas": ("ours", "ours-2"),
    "placement": ("ours", "ours-dedicated"),
}
"""The targets of each suite, in the order of their start. Each scenario file names its suite."""

DEFAULT_SUITES: Final = "http,composition"
ALL: Final = "all"


def chosen_suites(names: str) -> list[str]:
    """Return the suites in a list separated by commas, or every suite for `all`.

    Raises:
        ValueError: there is no suite of that name.
    """
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    if chosen == [ALL]:
        return list(SUITES)
    if unknown := [name for name in chosen if name not in SUITES] or ([] if chosen else ["nothing"]):
        raise ValueError(f"name some of {', '.join(SUITES)}, or {ALL}; not {', '.join(unknown)}")
    return list(dict.fromkeys(chosen))
