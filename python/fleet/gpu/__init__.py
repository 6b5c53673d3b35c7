"""GPUs of a site: what fits, where, and whether that is guaranteed. Pure: no input or output.

catalogue        what is known of GPU models and vGPU profiles
devices          the PCI devices of a VM: vGPUs, device groups, whole cards
site             what vCenter reports: hosts, physical GPUs, the VMs on them
occupants        which vGPU of a VM is on which GPU
capacity         how much more fits
placement        where new servers go
report           all of it for people and programs

docs/gpu.md has the words, the rules and the proofs.
"""

from __future__ import annotations
