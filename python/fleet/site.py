"""Reads ``inventory/<site>/fleet.yml``: which vCenter, which fleets, what is wanted of them.

The file is plain YAML without secrets; paths in it are relative to the file itself. What the file says wins;
``VMWARE_HOST``, ``VMWARE_PORT``, ``VMWARE_USER`` and ``VMWARE_PASSWORD`` (AWX's vCenter credential injects them)
fill what it leaves open. ``VMWARE_VALIDATE_CERTS`` can only tighten: AWX sets it to False by default, and that
must not switch off the verification that a site asks for.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fleet.errors import SiteError
from fleet.model import FleetSpec, Shape, Size
from fleet.vsphere.session import Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VCenterModel(_Strict):
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


class SizeModel(_Strict):
    """How many servers a new fleet starts with, and the bounds of every later target."""

    initial: Count
    min: Count = 1
    max: Count

    @model_validator(mode="after")
    def _ordered(self) -> SizeModel:
        if not self.min <= self.initial <= self.max:
            raise ValueError(f"min {self.min} ≤ initial {self.initial} ≤ max {self.max} does not hold")
        return self


class BalancersModel(_Strict):
    """The fleet's HAProxy VMs."""

    count: Count = 1
    template: str
    cluster: str | None = None
    cpu: int | None = Field(default=None, ge=1)
    memory_gb: Positive | None = None
    linked_clone: bool = False


class FleetModel(_Strict):
    """One fleet."""

    folder: str
    template: str
    datacenter: str | None = None
    cluster: str | None = None
    hosts: list[str] = []
    datastore: str | None = None
    network: str | None = None
    gpu_profiles: list[str] = []
    cpu: int | None = Field(default=None, ge=1)
    memory_gb: Positive | None = None
    linked_clone: bool = False
    size: SizeModel
    addresses: Literal["dhcp"] = "dhcp"
    balancers: BalancersModel | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> FleetModel:
        if not self.cluster and not self.hosts:
            raise ValueError("name a cluster, or hosts")
        if not self.folder.strip("/"):
            raise ValueError("folder must name a folder of the fleet's own")
        return self


class SiteModel(_Strict):
    """The whole file. ``compose`` … ``strict`` are the inventory plugin's standard options."""

    plugin: Literal["fleet_vsphere"]
    vcenter: VCenterModel = VCenterModel()
    fleets: dict[Name, FleetModel] = Field(min_length=1)
    compose: dict[str, Any] = {}
    groups: dict[str, Any] = {}
    keyed_groups: list[dict[str, Any]] = []
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """A site as its file describes it."""

    name: str
    path: Path
    model: SiteModel
    fleets: Mapping[str, FleetSpec]

    def fleet(self, name: str | None) -> FleetSpec:
        """The fleet called ``name``; without a name, the site's only one.

        Raises:
            SiteError: no such fleet, or several to choose from.
        """
        known = ", ".join(sorted(self.fleets))
        if name is None:
            if len(self.fleets) == 1:
                return next(iter(self.fleets.values()))
            raise SiteError(f"Site {self.name} has several fleets ({known}): choose one (--fleet NAME, or -e fleet=NAME).")
        if name not in self.fleets:
            raise SiteError(f"Site {self.name} has no fleet called {name!r}; {self.path.name} names: {known}.")
        return self.fleets[name]

    def endpoint(self, environ: Mapping[str, str] | None = None) -> Endpoint:
        """Where vCenter is and who asks, from the file and then the environment.

        Raises:
            SiteError: nothing says where vCenter is, or a file that should say so cannot be read.
        """
        env = os.environ if environ is None else environ
        vcenter = self.model.vcenter
        host = vcenter.host or env.get("VMWARE_HOST") or ""
        username = vcenter.username or env.get("VMWARE_USER") or ""
        password = self._read(vcenter.password_file) if vcenter.password_file else env.get("VMWARE_PASSWORD", "")
        for value, key, variable in (
            (host, "host", "VMWARE_HOST"),
            (username, "username", "VMWARE_USER"),
            (password, "password_file", "VMWARE_PASSWORD"),
        ):
            if not value:
                raise SiteError(f"{self.path}: vcenter.{key} is not set and neither is {variable}: set one of them.")
        return Endpoint(
            host=host,
            port=self._port(env),
            username=username,
            password=password,
            ca_file=str(self._path(vcenter.ca_file)) if vcenter.ca_file else None,
            validate_certs=vcenter.validate_certs or env.get("VMWARE_VALIDATE_CERTS", "").lower() in ("true", "yes", "1"),
        )

    def _port(self, env: Mapping[str, str]) -> int:
        vcenter = self.model.vcenter
        text = self._read(vcenter.port_file) if vcenter.port_file else str(vcenter.port or env.get("VMWARE_PORT") or 443)
        if not text.isdigit():
            raise SiteError(f"{self.path}: the port of vCenter must be a number, and it is {text!r}.")
        return int(text)

    def _path(self, name: str) -> Path:
        return (self.path.parent / Path(name).expanduser()).resolve()

    def _read(self, name: str) -> str:
        path = self._path(name)
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SiteError(f"{self.path} names {path}, which cannot be read: {error.strerror}.") from error


def load_site(path: str | Path) -> Site:
    """Read and check a site's ``fleet.yml``.

    Args:
        path: the file, or the folder of the site that holds it.

    Raises:
        SiteError: the file is missing, is not YAML, or says something that is not understood.
    """
    file = Path(path)
    if file.is_dir():
        file /= "fleet.yml"
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SiteError(f"There is no site at {file}: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise SiteError(f"{file} is not YAML: {' '.join(str(error).split())}.") from error
    try:
        model = SiteModel.model_validate(document)
    except ValidationError as error:
        raise SiteError(f"{file}: {_sentence(error)}") from error
    name = file.resolve().parent.name
    return Site(name=name, path=file.resolve(), model=model, fleets={n: _spec(n, m) for n, m in model.fleets.items()})


def _spec(name: str, model: FleetModel) -> FleetSpec:
    balancers = model.balancers
    return FleetSpec(
        name=name,
        folder=model.folder.strip("/"),
        size=Size(initial=model.size.initial, min=model.size.min, max=model.size.max),
        server=Shape(model.template, model.cpu, model.memory_gb, tuple(model.gpu_profiles), model.linked_clone),
        balancer=Shape(balancers.template, balancers.cpu, balancers.memory_gb, (), balancers.linked_clone)
        if balancers
        else Shape(model.template),
        balancer_count=balancers.count if balancers else 0,
        cluster=model.cluster,
        hosts=tuple(model.hosts),
        balancer_cluster=balancers.cluster if balancers and balancers.cluster else model.cluster,
        datacenter=model.datacenter,
        datastore=model.datastore,
        network=model.network,
    )


_MODELS: dict[str, type[BaseModel]] = {"vcenter": VCenterModel, "size": SizeModel, "balancers": BalancersModel}


def _sentence(error: ValidationError) -> str:
    """The first problem of a file as one sentence, with the nearest known key where one is mistyped."""
    problems = error.errors()
    # A mistyped key is also a missing one: the typo says more.
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    where = ".".join(str(part) for part in first["loc"] if part != "[key]") or "the file"
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        parents = [str(part) for part in first["loc"][:-1]]
        parent = _MODELS.get(parents[-1]) if parents else SiteModel
        known = sorted((parent or FleetModel).model_fields)
        near = difflib.get_close_matches(key, known, n=1)
        return f"{where} is not a known key; " + (f"did you mean {near[0]}?" if near else f"known are: {', '.join(known)}.")
    if first["type"] == "missing":
        return f"{where} is missing."
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message} (found {first['input']!r})." if first["type"] != "value_error" else f"{where}: {message}."
