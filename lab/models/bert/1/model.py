"""Triton's face of the BERT that is none (squad.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils
from squad import Squad


class TritonPythonModel:
    """Triton's Python-backend interface."""

    def initialize(self, _args):
        """Read the vocabulary."""
        self.squad = Squad(Path(__file__).with_name("vocab.txt").read_text(encoding="utf-8").split("\n"))

    def execute(self, requests):
        """Give each window's logits."""
        responses = []
        for request in requests:
            ids, segments, mask = (self._rows(request, name) for name in ("input_ids", "segment_ids", "input_mask"))
            rows = [self.squad.logits(*row) for row in zip(ids, segments, mask, strict=True)]
            logits = np.array(rows, dtype=np.float32).reshape(len(rows), -1, 2, 1, 1)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("cls_squad_logits", logits)]))
        return responses

    @staticmethod
    def _rows(request, name):
        return pb_utils.get_input_tensor_by_name(request, name).as_numpy().tolist()
