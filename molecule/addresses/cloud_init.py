"""Ask cloud-init's own tools, in a guest, what they make of what `fleet` tells a guest at its first boot: SITE-FOLDER.

The guest's own: its network, and its user data by the schema. And the networks of other pools: IPv6, and both families.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from guests import guests_of

from fleet.domain.address_pool import allot, network_config
from fleet.site.schema import AddressesModel

MAC = "00:50:56:aa:bb:cc"
V6 = {"range": "2001:db8::10-2001:db8::1f", "prefix": 64, "gateway": "2001:db8::1", "dns": ["2001:db8::53"]}
V4 = {"range": "192.0.2.10-192.0.2.19", "prefix": 24, "gateway": "192.0.2.1", "dns": ["192.0.2.53"], "search": ["example.com"]}
POOLS = {"IPv6": V6, "both families": {**V4, "ipv6": {"range": V6["range"], "prefix": 64, "gateway": "fe80::1"}}}
SCHEMA = "cat > /run/user-data; cloud-init schema --config-file /run/user-data; rm /run/user-data"


def other_networks() -> dict[str, Any]:
    """What the first guest of some pools would be told."""
    networks = {}
    for name, described in POOLS.items():
        pool = AddressesModel.model_validate(described).pool()
        (addresses,) = allot(pool, 1, {}, fleet="example")
        networks[f"a pool of {name}"] = network_config(addresses, pool, MAC)
    return networks


def missing(whose: str, network: dict[str, Any], written: dict[str, str]) -> list[str]:
    """Addresses, gateways and name servers of a network that do not stand in what was written of it."""
    (card,) = network["ethernets"].values()
    words = [address.partition("/")[0] for address in card["addresses"]]
    words += [route["via"] for route in card["routes"]] + card["nameservers"]["addresses"]
    return [f"{whose}: {word} is not in {kind}:\n{text}" for kind, text in written.items() for word in words if word not in text]


def main(site: Path) -> list[str]:
    """Ask; the sentences that say what is wrong."""
    guest = guests_of(site)[0]
    others = other_networks()
    script = Path(__file__).with_name("in_guest.py").read_text()
    own = json.loads(guest.run(f"python3 - {shlex.quote(json.dumps(others))}", script))
    found = []
    for whose, network in {"its own network": own["network"], **others}.items():
        written = own["written"][whose]
        found += missing(whose, network, written)
        addresses = ", ".join(network["ethernets"]["fleet"]["addresses"])
        print(f"cloud-init net-convert in {guest.name}, {whose}: {addresses} in {', '.join(written)}")
    said = guest.run(SCHEMA, own["user_data"]).strip()
    print(f"cloud-init schema in {guest.name}, its user data: {said}")
    has = guest.run("hostname; ip -o addr")
    wanted = [own["hostname"], *own["network"]["ethernets"]["fleet"]["addresses"]]
    print(f"{guest.name} has {', '.join(wanted)}")
    return found + [f"{guest.name} does not have {word}:\n{has}" for word in wanted if word not in has]


if __name__ == "__main__":
    sys.exit("\n".join(main(Path(sys.argv[1]))) or None)
