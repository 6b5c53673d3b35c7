"""How much more fits on GPUs as they are.

state            every arrangement that one GPU may be in
view             from what vCenter reports of a GPU to its state, or why it is not offered
rooms            guaranteed and possible vGPUs of each profile, and why not more
positions        which slices of a MIG GPU are free, taken or unknown
reported         vSphere 9 reports its own remaining capacity: it narrows the state
device_groups    linked GPUs (NVLink);  passthrough: whole cards
"""

from __future__ import annotations
