"""The port to vCenter. Nothing here prints, exits or knows Ansible.

- ``api``: pyVmomi's names
- ``faults``: every vSphere fault and broken connection as an error of ``fleet.errors``
- ``session``: one login; a lost session logs in again
- ``collect``: bulk reads of properties, by pages
- ``read``: VMs, hosts and devices as values of ``fleet.domain.state``
- ``inventory``: names and parents of what VMs run on
- ``find``: what ``fleet.yml`` names: folder, template, pool, host, datastore, network
- ``updates``: one WaitForUpdatesEx loop for many objects
- ``tasks``: many tasks, bounded, on that loop
- ``watch``: waits for power and addresses on that loop
- ``clone``: CloneSpecs and batches of clones
- ``batch``: batches of power, destroy and ``fleet.*`` keys
- ``record``: the fleet's record, by compare-and-swap
"""

from __future__ import annotations
