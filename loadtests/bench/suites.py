"""What is measured together: each suite's servers run side by side, suite after suite. Decides."""

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
"""The targets of each suite, in the order of their start. Its scenarios say in their files which suite is theirs."""

DEFAULT_SUITES: Final = "http,composition"
ALL: Final = "all"


def chosen_suites(names: str) -> list[str]:
    """Return the suites that a list with commas names, or every one for `all`.

    Raises:
        ValueError: there is no suite of that name.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if wanted == [ALL]:
        return list(SUITES)
    if unknown := [name for name in wanted if name not in SUITES] or ([] if wanted else ["nothing"]):
        raise ValueError(f"name some of {', '.join(SUITES)}, or {ALL}; not {', '.join(unknown)}")
    return list(dict.fromkeys(wanted))
