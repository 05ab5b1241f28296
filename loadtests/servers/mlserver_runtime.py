"""MLServer's side of the comparison: a custom runtime, written the way its documentation shows."""

# MLServer lives in an environment of its own, where the type checker does not look.
# mypy: disable-error-code="import-not-found,misc,no-any-unimported"

from typing import Any

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from loadtests.servers.onnx_session import OUTPUT_NAMES, model_file, open_session, run


class OnnxRuntime(MLModel):
    """Serve the benchmark's ONNX model with MLServer."""

    async def load(self) -> bool:
        """Open the model."""
        self._session: Any = open_session(model_file())
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Predict, in the process that the settings choose."""
        arrays = run(self._session, NumpyCodec.decode_input(payload.inputs[0]))
        outputs = [NumpyCodec.encode_output(name, array) for name, array in zip(OUTPUT_NAMES, arrays, strict=True)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
