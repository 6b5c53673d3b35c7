"""The words of the fleet as plain data: no behaviour beyond itself, nothing read or written.

spec             what git wants of a fleet
identity         what makes a VM a member: roles, keys, instanceUuid
state            what is there: VMs, hosts, members
membership       which VMs are members, and the state of each
record           the fleet's record: target size, open requests, lease
plan, report     what a run is going to change, and what it changed
address_pool     ranges of addresses; guest_addresses: which of a guest's addresses are its own
hostvars         a member as Ansible sees it
host_key         the one form of an SSH host key that is accepted
endpoint         where a vCenter is, and the account
"""

from __future__ import annotations
