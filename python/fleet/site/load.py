"""Reads ``inventory/<site>/fleet.yml``: which vCenter, which fleets, what is wanted of them.

The file is plain YAML without secrets; paths in it are relative to the file itself. What the file says wins;
``VMWARE_HOST``, ``VMWARE_PORT``, ``VMWARE_USER`` and ``VMWARE_PASSWORD`` (AWX's vCenter credential injects them)
fill what it leaves open. ``VMWARE_VALIDATE_CERTS`` can only tighten: AWX sets it to False by default, and that
must not switch off the verification that a site requires.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError

from fleet.domain.endpoint import Endpoint
from fleet.domain.spec import FleetSpec, GpuRules, Shape, Size
from fleet.errors import ConnectError, SiteError
from fleet.site.schema import SiteModel, sentence
from fleet.site.secrets import read_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.site.schema import FleetModel


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
        """Where vCenter is and as whom it is read, from the file and then the environment.

        Raises:
            SiteError: nothing says where vCenter is, or a file that should say so cannot be read.
        """
        env = os.environ if environ is None else environ
        vcenter = self.model.vcenter
        host = vcenter.host or env.get("VMWARE_HOST") or ""
        username = vcenter.username or env.get("VMWARE_USER") or ""
        password = self._secret(vcenter.password_file) if vcenter.password_file else env.get("VMWARE_PASSWORD", "")
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

    def overruled(self, environ: Mapping[str, str] | None = None) -> str | None:
        """A warning when the environment names another vCenter than the file, which wins; ``None`` when it does not."""
        said, own = (os.environ if environ is None else environ).get("VMWARE_HOST"), self.model.vcenter.host
        if not said or not own or _name(said) == _name(own):
            return None
        return f"VMWARE_HOST names {said} and is ignored: {self.path} names vCenter {own}, and the file wins. Unset one of them."

    def _port(self, env: Mapping[str, str]) -> int:
        vcenter = self.model.vcenter
        try:
            text = self._read(vcenter.port_file) if vcenter.port_file else str(vcenter.port or env.get("VMWARE_PORT") or 443)
        except SiteError as error:
            raise SiteError(
                f"{error} A lab writes it while it is up (fleet lab up); another site is named by --site NAME, or by "
                "-i inventory/NAME for ansible-playbook."
            ) from error
        if not text.isdigit():
            raise SiteError(f"{self.path}: the port of vCenter must be a number, and it is {text!r}.")
        return int(text)

    def _path(self, name: str) -> Path:
        return (self.path.parent / Path(name).expanduser()).resolve()

    def _secret(self, name: str) -> str:
        return read_secret(self._path(name), named_by=str(self.path))

    def _read(self, name: str) -> str:
        path = self._path(name)
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SiteError(f"{self.path} names {path}, which cannot be read: {error.strerror}.") from error


def _name(host: str) -> str:
    """A host as it is compared."""
    try:
        return Endpoint(host).address()[0].lower()
    except ConnectError:
        return host


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
        raise SiteError(f"{file}: {sentence(error)}") from error
    name = file.resolve().parent.name
    return Site(name=name, path=file.resolve(), model=model, fleets={n: _spec(n, m) for n, m in model.fleets.items()})


def _spec(name: str, model: FleetModel) -> FleetSpec:
    balancers = model.balancers
    return FleetSpec(
        name=name,
        folder=model.folder.strip("/"),
        size=Size(initial=model.size.initial, min=model.size.min, max=model.size.max),
        server=Shape(
            model.template,
            model.cpu,
            model.memory_gb,
            tuple(model.gpu_profiles),
            model.linked_clone,
            None if model.devices is None else tuple(one.device() for one in model.devices),
        ),
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
        pool=model.addresses.pool() if model.addresses else None,
        first_boot=model.first_boot,
        domain=model.domain,
        gpu_rules=GpuRules(**model.placement.model_dump()),
    )
