"""Identity after a fixed sleep: OUTPUT0 is INPUT0, `delay_ms` milliseconds later."""

from __future__ import annotations

import json
import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Triton's Python-backend interface."""

    def initialize(self, args):
        """Read the sleep from the model's parameters (config.pbtxt)."""
        parameters = json.loads(args["model_config"])["parameters"]
        self.delay_s = float(parameters["delay_ms"]["string_value"]) / 1000

    def execute(self, requests):
        """Sleep once for every request, then give back its input."""
        responses = []
        for request in requests:
            time.sleep(self.delay_s)
            tensor = pb_utils.get_input_tensor_by_name(request, "INPUT0")
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", tensor.as_numpy())]))
        return responses
