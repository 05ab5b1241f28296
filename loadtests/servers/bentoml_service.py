"""BentoML's side of the comparison: a service class with one API on V2's path.

It has one worker in one process and no batching, which are the defaults. The method is a coroutine, which saves a
switch to a thread. The decorator turns access log and metrics off.
"""

# BentoML lives in an environment of its own, where the type checker does not look.
# mypy: disable-error-code="import-not-found,misc,no-any-unimported,untyped-decorator"

from typing import Any

import bentoml

from loadtests.servers.onnx_session import model_file, open_session, predict_v2


@bentoml.service(workers=1, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Cancer:
    """Serve the benchmark's ONNX model with BentoML."""

    def __init__(self) -> None:
        """Open the model."""
        self._session = open_session(model_file())

    @bentoml.api(route="/v2/models/cancer/infer")
    async def infer(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Predict on BentoML's own event loop."""
        return predict_v2(self._session, inputs[0])
