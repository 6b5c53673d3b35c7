"""Which host and which GPU each new server gets.

request          what is requested;  offer: what one host has for it
worst_case       what one host takes for certain, whatever its vGPU manager does;  anti_affinity: servers that share no GPU
host_choice      how many servers each host gets;  possible: servers beyond the certain ones
gpu_split        on which GPU of a host each vGPU is expected;  power_on_order: in which order they start
place            all of it: a request and a site give a placement plan
refusal          why a request does not fit;  blockers: which VMs are in the way
"""

from __future__ import annotations
