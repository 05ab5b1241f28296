"""Every target by its name."""

from collections.abc import Callable
from typing import Final

from loadtests.bench.launch import Target
from loadtests.bench.setting import Setting
from loadtests.targets import composition, floors, ours, python_peers, triton

BUILDERS: Final[dict[str, Callable[[Setting], Target]]] = {
    ours.OURS: ours.ours,
    "ours-2": ours.ours_2,
    "ours-dedicated": ours.ours_dedicated,
    "ours-uvicorn": ours.ours_uvicorn,
    floors.FLOOR: floors.bare,
    "bare-grpc": floors.bare_grpc,
    "onnx-loop": floors.onnx_loop,
    "mlserver": python_peers.mlserver,
    "mlserver-tuned": python_peers.mlserver_tuned,
    "kserve": python_peers.kserve,
    "kserve-tuned": python_peers.kserve_tuned,
    "bentoml": python_peers.bentoml,
    "litserve": python_peers.litserve,
    "triton": triton.triton,
    "serve-composition": composition.composition,
    "serve-composition-tuned": composition.composition_tuned,
}
