"""The client's half of a BERT that answers questions (SQuAD): words to numbers in windows, and logits back to a span of the text.

The interface is that of NVIDIA's BERT models for Triton, in TensorRT (``cls_squad_logits``) and in TensorFlow (``start_logits``
and ``end_logits``). ``windows`` and ``decode`` are pure; ``tokens`` needs the library ``tokenizers`` (the extra ``bert``).
"""

from __future__ import annotations
