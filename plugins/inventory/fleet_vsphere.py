# GPL-3.0-or-later
"""Members of a site's fleets as Ansible hosts. What is read and how it looks is ``fleet``'s matter."""

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_vsphere
short_description: Triton VMs and balancers of the fleets of a site, read from vCenter
description:
  - Reads C(inventory/<site>/fleet.yml), reads its vCenter in bulk, and emits one host for every member of its fleets.
  - For every fleet there is also a logical host C(fleet@NAME), which carries the fleet's variables while it is empty.
  - A VM that is no member never appears. A member whose identity cannot be confirmed appears in C(unconfirmed) only.
options:
  plugin:
    description: Always C(fleet_vsphere).
    required: true
    choices: [fleet_vsphere]
  vcenter:
    description: How to reach vCenter, see docs/inventory.md. VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD set what the file does not.
    type: dict
  fleets:
    description: The fleets of the site.
    type: dict
extends_documentation_fragment:
  - constructed
author: [triton-fleet]
"""

EXAMPLES = r"""
plugin: fleet_vsphere
vcenter: {host: vcenter.example.com, ca_file: ca.pem}
fleets:
  qa:
    folder: fleets/qa
    template: triton-2404
    cluster: gpu
    gpu_profiles: [grid_a100-2-10c]
    size: {initial: 2, min: 1, max: 6}
    balancers: {count: 1, template: ubuntu-2404}
keyed_groups:
  - {key: fleet.state, prefix: state}
"""

from pathlib import Path

from ansible import constants
from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable
from ansible.template import trust_as_template

try:
    from fleet.errors import FleetError
    from fleet.service.inventory import site_inventory
    from fleet.site.load import load_site
    from fleet.site.ssh_key import key_path
except ImportError as missing:
    raise AnsibleParserError(
        "The inventory plugin fleet_vsphere needs the Python package fleet next to Ansible: pip install . in this project "
        f"({missing})."
    ) from missing


class InventoryModule(BaseInventoryPlugin, Constructable):
    NAME = "fleet_vsphere"

    def verify_file(self, path):
        return super().verify_file(path) and Path(path).name in ("fleet.yml", "fleet.yaml")

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        try:
            site = load_site(path)  # before Ansible reads the file: what is wrong in it is one sentence here
            self._read_config_data(path)
            if warning := site.overruled():
                self.display.warning(warning)
            self.inventory.set_variable("all", "fleet_site_dir", str(site.path.parent))
            if (key := key_path(site.name)).exists():  # the weakest of all places: any group_vars of the site win
                self.inventory.set_variable("all", "ansible_ssh_private_key_file", str(key))
            for fleet in site_inventory(site):
                self._add_fleet(fleet)
        except FleetError as error:
            self._refuse(error)

    def _refuse(self, error):
        """Say it in one sentence. Ansible itself would let its other plugins try the file too, and print what each of them says."""
        if constants.INVENTORY_ANY_UNPARSED_IS_FAILED:
            self.display.error(str(error), wrap_text=False)
            raise SystemExit(1)
        raise AnsibleParserError(str(error)) from None

    def _add_fleet(self, fleet):
        if fleet.trouble:
            self.display.warning(fleet.trouble)
        self._add(fleet.logical)
        # The interpreter of the very run, also when AWX replays this inventory from its database.
        interpreter = trust_as_template("{{ ansible_playbook_python }}")
        self.inventory.set_variable(fleet.logical.name, "ansible_python_interpreter", interpreter)
        for member in fleet.members:
            self._add(member)
            self._construct(member.name, member.variables)
        for name in fleet.unconfirmed:
            self.inventory.add_host(name, group=self.inventory.add_group("unconfirmed"))

    def _add(self, host):
        for group in host.groups:
            self.inventory.add_host(host.name, group=self.inventory.add_group(group))
        for key, value in host.variables.items():
            self.inventory.set_variable(host.name, key, value)

    def _construct(self, host, variables):
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, host, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict=strict)
