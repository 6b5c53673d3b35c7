"""Triton's face of the question answerer (extract.py)."""

from __future__ import annotations

import numpy as np
import triton_python_backend_utils as pb_utils
from extract import answer


class TritonPythonModel:
    """Triton's Python-backend interface."""

    def execute(self, requests):
        """Answer each request's question from its context."""
        responses = []
        for request in requests:
            question, context = (self._text(request, name) for name in ("QUESTION", "CONTEXT"))
            span, score = answer(question, context)
            outputs = [
                pb_utils.Tensor("ANSWER", np.array([span.encode()], dtype=np.object_)),
                pb_utils.Tensor("SCORE", np.array([score], dtype=np.float32)),
            ]
            responses.append(pb_utils.InferenceResponse(outputs))
        return responses

    @staticmethod
    def _text(request, name):
        return pb_utils.get_input_tensor_by_name(request, name).as_numpy().reshape(-1)[0].decode("utf-8", "replace")
