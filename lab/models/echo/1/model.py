"""Identity: OUTPUT0 is INPUT0."""

from __future__ import annotations

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Triton's Python-backend interface."""

    def execute(self, requests):
        """Answer every request with its own input."""
        tensors = [pb_utils.get_input_tensor_by_name(request, "INPUT0") for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", tensor.as_numpy())]) for tensor in tensors]
