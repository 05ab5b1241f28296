"""The folders and ports of a run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.servers.onnx_session import MODEL_FILE_VARIABLE

FOLDER: Final = Path(__file__).parents[1]
REPOSITORY: Final = FOLDER.parent

PORTS: Final = (
    "ours",
    "ours-grpc",
    "ours-uvicorn",
    "ours-uvicorn-grpc",
    "ours-2",
    "ours-2-grpc",
    "ours-dedicated",
    "ours-dedicated-grpc",
    "bare",
    "bare-grpc",
    "mlserver",
    "mlserver-grpc",
    "mlserver-metrics",
    "mlserver-tuned",
    "mlserver-tuned-grpc",
    "mlserver-tuned-metrics",
    "kserve",
    "kserve-tuned",
    "bentoml",
    "litserve",
    "triton",
    "triton-grpc",
    "serve-composition",
    "serve-composition-tuned",
)
"""The listeners, in the order of their ports."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The folders and ports of a run. `tell` shows a line about its progress."""

    work: Path
    home: Path
    base_port: int
    tell: Callable[[str], None]

    def port(self, name: str) -> int:
        """Return the port of a listener."""
        return self.base_port + PORTS.index(name)

    @property
    def models(self) -> dict[str, Path]:
        """The files of the models that every server serves."""
        versions = {"cancer": "2", "wide": "1"}
        return {name: self.home / "models" / name / version / "model.onnx" for name, version in versions.items()}

    @property
    def peer_env(self) -> dict[str, str]:
        """Environment variables with which the compared servers find the model and this package."""
        return {MODEL_FILE_VARIABLE: str(self.models["cancer"]), "PYTHONPATH": str(REPOSITORY)}
