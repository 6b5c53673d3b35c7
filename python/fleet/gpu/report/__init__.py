"""Capacity and placement for people and programs.

map_text         the map of GPUs as text
summary          the map in numbers, by cluster and profile
explain          why a VM is where it is, or why a planned server goes where it goes
as_json          map, plan and explanation as JSON
doc_tables       the generated parts of docs/gpu.md
"""

from __future__ import annotations
