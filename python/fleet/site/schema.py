"""What ``fleet.yml`` may say, as pydantic models: keys, kinds of values, and the rules between keys of one block."""

from __future__ import annotations

import difflib
import itertools
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, IPvAnyAddress, ValidationError, model_validator

from fleet.domain.address_pool import Pool, Range, parse_range
from fleet.site.gpu_schema import DeviceModel, GpuRulesModel

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class VCenterModel(BaseModel, extra="forbid", frozen=True):
    """How to reach the site's vCenter."""

    host: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    port_file: str | None = None
    username: str | None = None
    password_file: str | None = None
    ca_file: str | None = None
    validate_certs: bool = True

    @model_validator(mode="after")
    def _one_port(self) -> VCenterModel:
        if self.port is not None and self.port_file is not None:
            raise ValueError("port and port_file exclude each other: keep one")
        return self


class SizeModel(BaseModel, extra="forbid", frozen=True):
    """How many servers a new fleet starts with, and the bounds of every later target."""

    initial: Count
    min: Count = 1
    max: Count

    @model_validator(mode="after")
    def _ordered(self) -> SizeModel:
        if not self.min <= self.initial <= self.max:
            raise ValueError(f"min {self.min} ≤ initial {self.initial} ≤ max {self.max} does not hold")
        return self


class BalancersModel(BaseModel, extra="forbid", frozen=True):
    """The fleet's HAProxy VMs."""

    count: Count = 1
    template: str
    cluster: str | None = None
    cpu: int | None = Field(default=None, ge=1)
    memory_gb: Positive | None = None
    linked_clone: bool = False


class RangeModel(BaseModel, extra="forbid", frozen=True):
    """Addresses of one family that the fleet hands out itself."""

    range: str
    prefix: int
    gateway: str | None = None

    @model_validator(mode="after")
    def _sound(self) -> RangeModel:
        self.parsed()
        return self

    def parsed(self) -> Range:
        """The range as a value."""
        return parse_range(self.range, self.prefix, self.gateway)


class AddressesModel(RangeModel, extra="forbid", frozen=True):
    """The fleet's address pool; ``range`` may be of either family, ``ipv6`` adds the second one."""

    ipv6: RangeModel | None = None
    dns: list[IPvAnyAddress] = []
    search: list[str] = []
    probe: bool = True

    @model_validator(mode="after")
    def _two_families(self) -> AddressesModel:
        if self.ipv6 and {self.parsed().version, self.ipv6.parsed().version} != {4, 6}:
            raise ValueError("range is of IPv4 and ipv6.range of IPv6, or there is only range")
        return self

    def pool(self) -> Pool:
        """The pool as a value."""
        ranges = (self.parsed(), self.ipv6.parsed()) if self.ipv6 else (self.parsed(),)
        return Pool(ranges, tuple(str(one) for one in self.dns), tuple(self.search), self.probe)


def _dhcp_or_pool(value: Any) -> Any:
    if isinstance(value, str) and value != "dhcp":
        raise ValueError(f"{value!r} is neither dhcp nor a pool {{range, prefix, gateway, dns}}")
    return None if value == "dhcp" else value


class FleetModel(BaseModel, extra="forbid", frozen=True):
    """One fleet."""

    folder: str
    template: str
    datacenter: str | None = None
    cluster: str | None = None
    hosts: list[str] = []
    datastore: str | None = None
    network: str | None = None
    gpu_profiles: list[str] = []
    devices: list[DeviceModel] | None = None
    placement: GpuRulesModel = GpuRulesModel()
    cpu: int | None = Field(default=None, ge=1)
    memory_gb: Positive | None = None
    linked_clone: bool = False
    size: SizeModel
    addresses: Annotated[AddressesModel | None, BeforeValidator(_dhcp_or_pool)] = None  # None: dhcp
    first_boot: Literal["cloud-init", "customization"] = "cloud-init"
    domain: str | None = None
    balancers: BalancersModel | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> FleetModel:
        if not self.cluster and not self.hosts:
            raise ValueError("name a cluster, or hosts")
        if not self.folder.strip("/"):
            raise ValueError("folder must name a folder of the fleet's own")
        if any(device.pci_id for device in self.devices or ()) and (self.cluster or self.gpu_profiles):
            raise ValueError("a device by pci_id ties a server to its host: name hosts, no cluster, and no gpu_profiles")
        return self

    @model_validator(mode="after")
    def _customizable(self) -> FleetModel:
        if self.first_boot == "customization" and not self.domain:
            raise ValueError("first_boot: customization needs domain, the DNS domain of the guests")
        if self.first_boot == "customization" and self.addresses and self.addresses.parsed().version == 6:  # noqa: PLR2004
            raise ValueError("a customization needs an IPv4 range; IPv6 alone goes with first_boot: cloud-init")
        return self


class SiteModel(BaseModel, extra="forbid", frozen=True):
    """The whole file. ``compose`` … ``strict`` are the inventory plugin's standard options."""

    plugin: Literal["fleet_vsphere"]
    vcenter: VCenterModel = VCenterModel()
    fleets: dict[Name, FleetModel] = Field(min_length=1)
    compose: dict[str, Any] = {}
    groups: dict[str, Any] = {}
    keyed_groups: list[dict[str, Any]] = []
    strict: bool = False

    @model_validator(mode="after")
    def _folders_apart(self) -> SiteModel:
        """A fleet's folder is its own: who may make VMs there is decided for one fleet. vCenter's names have no case."""
        folders = [(name, one.datacenter, one.folder.strip("/").casefold().split("/")) for name, one in self.fleets.items()]
        for (name, where, path), (other, its_where, its_path) in itertools.combinations(folders, 2):
            shorter, longer = sorted((path, its_path), key=len)
            if longer[: len(shorter)] == shorter and (where == its_where or None in (where, its_where)):
                raise ValueError(f"fleets {name} and {other} share a folder: give each its own, none below another's")
        return self

    @model_validator(mode="after")
    def _pools_apart(self) -> SiteModel:
        pools = [(name, one.network, one.addresses.pool()) for name, one in self.fleets.items() if one.addresses]
        for (name, network, pool), (other, its_network, its_pool) in itertools.combinations(pools, 2):
            if pool.overlaps(its_pool) and (network == its_network or None in (network, its_network)):
                raise ValueError(f"the addresses of fleets {name} and {other} overlap: give each a range of its own")
        return self


_MODELS: dict[str, type[BaseModel]] = {
    "vcenter": VCenterModel,
    "size": SizeModel,
    "balancers": BalancersModel,
    "addresses": AddressesModel,
    "ipv6": RangeModel,
    "devices": DeviceModel,
    "placement": GpuRulesModel,
}


def sentence(error: ValidationError) -> str:
    """The first problem of a file as one sentence, with the nearest known key where one is mistyped."""
    problems = error.errors()
    # A mistyped key is also a missing one: the typo says more.
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    where = ".".join(str(part) for part in first["loc"] if part != "[key]") or "the file"
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        parents = [str(part) for part in first["loc"][:-1] if not isinstance(part, int)]
        parent = _MODELS.get(parents[-1]) if parents else SiteModel
        known = sorted((parent or FleetModel).model_fields)
        near = difflib.get_close_matches(key, known, n=1)
        return f"{where} is not a known key; " + (f"did you mean {near[0]}?" if near else f"known are: {', '.join(known)}.")
    if first["type"] == "missing":
        return f"{where} is missing."
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message} (found {first['input']!r})." if first["type"] != "value_error" else f"{where}: {message}."
