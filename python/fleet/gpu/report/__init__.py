"""GPUs for people and programs: the map as text, JSON, the summary, explanations, the tables of docs/gpu.md."""

from __future__ import annotations
