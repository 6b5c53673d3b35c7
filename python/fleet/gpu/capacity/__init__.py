"""How many more vGPUs and whole cards fit on GPUs as they are.

state            every arrangement in which one GPU may be, and what one more vGPU makes of it
view             from what vCenter reports of a GPU to its state, or why it is not offered
positions        which slices of a MIG GPU are free, taken or unknown
directpath       vSphere 9 reports its own capacity of a host: it rules arrangements out
obstacles        why a GPU or host takes no more
reservations     powered-off VMs keep their GPUs
device_groups    linked GPUs (NVLink)
passthrough      whole cards
remaining        guaranteed and possible vGPUs of each profile on each GPU of a site
"""

from __future__ import annotations
