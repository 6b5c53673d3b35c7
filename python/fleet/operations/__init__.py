"""Apply: carries plans out in vCenter, in batches.

fleet            one fleet: observe it, and the small writes that all changes share
scale_out        clone and start;  scale_in: drain and destroy;  resize: other GPUs;  adopt: take VMs in, let VMs go
power_on         start members;  placement_check: where vCenter put them;  replacement: plan again where a place was taken
name_conflicts   clones whose name somebody else took
addresses        addresses of the pool;  cloud_init: what new guests are given;  host_keys: SSH host keys at first contact
"""

from __future__ import annotations
