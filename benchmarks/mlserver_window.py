"""The window graph as a model of MLServer; runs in MLServer's environment, without this project."""

import numpy as np
import onnxruntime as ort
from mlserver import MLModel  # type: ignore[import-not-found]
from mlserver.codecs import NumpyCodec  # type: ignore[import-not-found]
from mlserver.types import (  # type: ignore[import-not-found]
    InferenceRequest,
    InferenceResponse,
)


class WindowModel(MLModel):  # type: ignore[misc]
    """A window in, the errors of its last point out."""

    async def load(self) -> bool:
        """Open the graph that the settings name, on one thread as ours."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Run the graph."""
        window = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32)
        feed = {"window": window, "entity_index": np.zeros(len(window), np.int64)}
        error = self._session.run(["error"], feed)[0]
        outputs = [NumpyCodec.encode_output("error", error[:, -1])]
        return InferenceResponse(model_name=self.name, outputs=outputs)
