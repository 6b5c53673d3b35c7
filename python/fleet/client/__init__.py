"""What runs beside the user: Triton over gRPC, the guide's BERT client, and the models' sources that guests are filled from."""

from __future__ import annotations
