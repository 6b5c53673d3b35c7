"""GPUs of a site: what fits, where, how certain that is. Pure: no input, no output, nothing but the standard library.

    catalogue        what is known of cards and profiles
    devices          what a VM holds: vGPUs, device groups, whole cards
    site             what was read: hosts, physical GPUs, occupants;  occupants: which vGPU of a VM stands on which GPU
    capacity         what still fits
    placement        where new servers go
    report           all of it for people and programs

docs/gpu.md has the words, the rules and the proofs.
"""

from __future__ import annotations
