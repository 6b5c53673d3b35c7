"""The host and the GPU of each new server.

request              what is requested
demand               the request as classes of equal servers
multisets            multisets of servers and vGPUs, and the sums of them
worst_case           whether a host takes a server, whatever its vGPU manager does
batches              which batches of servers one host takes, and in which order they start
anti_affinity        servers that share no GPU
offer                what one host has for a request
headroom             room that is kept for a bigger profile
cost_curve           what more vGPUs of one profile cost, and how to split them at the least cost
gpu_allocation       on which GPU of a host each vGPU is expected
host_allocation      how many servers each host receives
possible_servers     servers beyond the guaranteed ones
power_on_order       the servers of one host in the order of their power-ons
place                all of it: a request and a site give a placement plan
refusal              why a request does not fit
blocking_vms         which single VMs are in the way
"""

from __future__ import annotations
