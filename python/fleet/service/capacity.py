"""Questions about servers that are not there yet: would so many fit, and where would the next ones go? Writes nothing.

Both are answered as a scale-out would plan (``planning.placement``): of a fleet of fleet.yml, or of servers that a question
describes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fleet.domain.identity import TRITON
from fleet.domain.spec import FleetSpec, Shape, Size
from fleet.domain.state import FleetState
from fleet.errors import UsageError
from fleet.gpu.capacity.passthrough import whole_cards
from fleet.gpu.report.explain import NO_SUCH_VM, Explanation, explain, explain_planned
from fleet.operations.fleet import Controller
from fleet.operations.observation import observation_of
from fleet.planning import placement, scale_out
from fleet.planning.placement import Terms
from fleet.planning.what_if import only
from fleet.vsphere.gpus import read_gpus
from fleet.vsphere.read import read_vms_and_hosts
from fleet.vsphere.session import connect
from fleet.vsphere.snapshot import read_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    from fleet.domain.state import Member
    from fleet.gpu.devices import PciDevice
    from fleet.gpu.placement.place import PlacementPlan
    from fleet.gpu.site import GpuSite
    from fleet.operations.observation import Observation
    from fleet.site.load import Site

SHOWN = 5  # names in a sentence


@dataclass(frozen=True, slots=True)
class Question:
    """The request of ``fleet gpu fit``. What is left out is the fleet's own, or without a fleet nothing that limits.

    Attributes:
        count: how many servers, beside those that are there.
        fleet: the fleet whose servers they would be; None: of no fleet.
        profiles: a vGPU of each server.
        clusters: only hosts of these.
        hosts: only these, by name.
        datastore: must be attached to the host.
        cpu: virtual CPUs of each server.
        memory_gb: memory of each server, in GiB, all of it reserved.
        policy: see :class:`fleet.gpu.placement.request.Request`; so are ``anti_affinity``, ``keep``,
            ``keep_count``, ``allow_possible``.
        pin: whether vGPUs are pinned to physical GPUs.
    """

    count: int = 1
    fleet: str | None = None
    profiles: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    datastore: str | None = None
    cpu: int | None = None
    memory_gb: float | None = None
    policy: Literal["pack", "spread"] | None = None
    anti_affinity: Literal["none", "host", "gpu"] | None = None
    keep: str | None = None
    keep_count: int | None = None
    pin: bool | None = None
    allow_possible: bool = False


@dataclass(frozen=True, slots=True)
class Fit:
    """The answer: the plan, of servers with which profiles and whole cards, the requested part of the site, and a note."""

    plan: PlacementPlan
    profiles: tuple[str, ...]
    devices: tuple[PciDevice, ...]
    site: GpuSite
    note: str = ""

    @property
    def vgpus(self) -> tuple[str, ...]:
        """The profiles of all vGPUs of each server, also of those that its device groups bring."""
        return placement.every_vgpu(Shape("", gpu_profiles=self.profiles, devices=self.devices))

    @property
    def what(self) -> str:
        """What each server holds, in words."""
        return " + ".join([*self.profiles, *map(str, self.devices)])


def fit(site: Site, question: Question) -> Fit:
    """Say whether so many servers fit, and where.

    Raises:
        UsageError: a cluster, host or datastore that is not there, or nothing that says which profiles.
        SiteError: no such fleet.
    """
    if question.fleet is None:
        spec = _anybody(question.profiles)
        names = [f"server-{number:0{len(str(question.count))}d}" for number in range(1, question.count + 1)]
        with connect(site.endpoint()) as session:
            vms, hosts = read_vms_and_hosts(session)
            gpus = read_gpus(session, hosts, vms)
        return answer(spec, _nothing(spec), gpus, names, question)
    spec = site.fleet(question.fleet)
    with connect(site.endpoint()) as session:
        controller = Controller(session, spec)
        seen = controller.observe()
        gpus = controller.gpus(seen)
    names = scale_out.next_names(spec, seen.record, seen.state, question.count)
    found = answer(spec, seen.state, gpus, names, question)
    return replace(found, note=_beyond(spec, seen.state, question.count))


def _beyond(spec: FleetSpec, state: FleetState, count: int) -> str:
    """Room is not all that a scale-out needs: what is said of more servers than fleet.yml allows."""
    there = len(_servers(state))
    if there + count <= spec.size.max:
        return ""
    return f"size.max of fleet {spec.name} is {spec.size.max}, and {there} are there: a plan for {count} more is refused"


def _servers(state: FleetState) -> list[Member]:
    return [m for m in state.of_role(TRITON) if m.confirmed and m.state != "draining"]


def answer(spec: FleetSpec, state: FleetState, gpus: GpuSite, names: Iterable[str], question: Question) -> Fit:
    """The answer for servers of these names, as the plan of scaling out gives it. Pure."""
    wanted = _as_requested(spec, question)
    if not _counted(wanted):
        raise UsageError(
            f"Servers of fleet {spec.name} hold neither vGPUs nor whole cards by fleet.yml: name one with --profile."
            if question.fleet
            else "Which vGPU? Name its profile with --profile, or a fleet with --fleet."
        )
    _require_datastore(gpus, question.datastore)
    if question.clusters or question.hosts or question.fleet is None:
        hosts = tuple(host.name for host in on(within(gpus, question.clusters), question.hosts).hosts)
        wanted = replace(wanted, cluster=None, hosts=hosts)
    else:
        placement.check_place(wanted, gpus)
        placement.check_devices(wanted, gpus)
    profiles = wanted.server.gpu_profiles
    plan = placement.place_servers(
        wanted,
        dict.fromkeys(names, placement.every_vgpu(wanted.server)),
        state,
        gpus,
        Terms(allow_possible=question.allow_possible),
    )
    return Fit(plan, profiles, wanted.server.devices or (), placement.own_hosts(wanted, gpus))


def _counted(spec: FleetSpec) -> bool:
    """Whether there is anything for which placement chooses the host."""
    return bool(spec.server.gpu_profiles or spec.server.devices)


def _as_requested(spec: FleetSpec, question: Question) -> FleetSpec:
    """The fleet with what the question says otherwise."""

    def said(*names: str) -> dict[str, object]:
        return {name: value for name in names if (value := getattr(question, name)) is not None}

    server = replace(spec.server, **said("cpu", "memory_gb"))  # type: ignore[arg-type]
    if question.profiles:
        server = replace(server, gpu_profiles=question.profiles)
    rules = replace(spec.gpu_rules, **said("policy", "anti_affinity", "keep", "keep_count", "pin"))  # type: ignore[arg-type]
    return replace(spec, server=server, gpu_rules=rules, datastore=question.datastore or spec.datastore)


def _anybody(profiles: tuple[str, ...]) -> FleetSpec:
    """A fleet of which nothing is known but what its servers hold."""
    return FleetSpec(
        name="server",
        folder="",
        size=Size(0, 0, 0),
        server=Shape("", gpu_profiles=profiles),
        balancer=Shape(""),
        balancer_count=0,
    )


def _nothing(spec: FleetSpec) -> FleetState:
    return FleetState(spec.name, (), None, frozenset(), datetime.now(UTC))


def within(site: GpuSite, clusters: tuple[str, ...]) -> GpuSite:
    """The part of a site in some clusters; without a name all of it.

    Raises:
        UsageError: no cluster of such a name has a GPU.
    """
    known = {host.cluster for host in site.hosts}
    for name in clusters:
        if name not in known:
            shown = ", ".join(sorted(cluster for cluster in known if cluster)) or "none"
            raise UsageError(f"No cluster called {name!r} has GPUs; clusters with GPUs are: {shown}.")
    return replace(site, hosts=tuple(host for host in site.hosts if not clusters or host.cluster in clusters))


def on(site: GpuSite, names: tuple[str, ...]) -> GpuSite:
    """The hosts of these names; without a name all.

    Raises:
        UsageError: no host of the site has such a name.
    """
    known = {host.name for host in site.hosts}
    for name in names:
        if name not in known:
            raise UsageError(f"No host among those requested is called {name!r}: `fleet gpu` lists them.")
    return only(site, names) if names else site


def _require_datastore(site: GpuSite, name: str | None) -> None:
    known = {store for host in site.hosts for store in host.datastores or ()}
    if name is not None and name not in known and all(host.datastores is not None for host in site.hosts):
        raise UsageError(f"No host with a GPU has a datastore called {name!r}; they have: {', '.join(sorted(known)) or 'none'}.")


def explained(site: Site, name: str, fleet: str | None) -> Explanation:
    """Explain a VM on a GPU, one that waits for its vGPUs, or one of the servers that come next.

    Raises:
        UsageError: none of these has the name.
        SiteError: no such fleet.
    """
    with connect(site.endpoint()) as session:
        snapshot = read_snapshot(session, set(site.fleets))
        found = explain(read_gpus(session, snapshot.hosts, snapshot.vms, cards=True), name)
        if found is not None:
            return found
        spec = _fleet_of(site, name, fleet)
        seen = observation_of(session, spec, snapshot)
        return next_server(spec, seen, Controller(session, spec).gpus(seen), name)


def _fleet_of(site: Site, name: str, fleet: str | None) -> FleetSpec:
    """The fleet whose servers have such names, whatever FLEET_NAME says; else the one that is named, or the only one."""
    own = [spec for spec in site.fleets.values() if re.fullmatch(rf"{re.escape(spec.name)}-\d+", name)]
    if own:
        return own[0]
    if fleet is not None or len(site.fleets) == 1:
        return site.fleet(fleet)
    raise UsageError(f"{NO_SUCH_VM.format(name=name)}; of a server that comes next, name the fleet with --fleet.")


def next_server(spec: FleetSpec, seen: Observation, gpus: GpuSite, name: str) -> Explanation:
    """Where a server that comes next would go, by the plan that scaling out so far would make. Pure.

    Raises:
        UsageError: it is none of those that come next, or its host is not planned here.
    """
    if any(member.name == name for member in seen.state.members):
        raise UsageError(f"{name} is a VM of fleet {spec.name} and holds no GPU: there is nothing to explain.")
    servers = _servers(seen.state)
    target = seen.record.target if seen.record and seen.record.target is not None else spec.size.initial
    names = scale_out.next_names(spec, seen.record, seen.state, max(spec.size.max - len(servers), 0))
    if name not in names:
        raise UsageError(f"{NO_SUCH_VM.format(name=name)}; {_which_next(spec, names)}.")
    if not _counted(spec) or placement.unforeseen(spec, gpus):
        raise UsageError(f"Servers of fleet {spec.name} hold no GPU that is placed here: vCenter chooses the host of {name}.")
    placement.check_place(spec, gpus)
    placement.check_devices(spec, gpus)
    batch = names[: max(names.index(name) + 1, target - len(servers))]
    plan = placement.place_servers(spec, dict.fromkeys(batch, placement.every_vgpu(spec.server)), seen.state, gpus)
    explanation = explain_planned(gpus, name, plan)
    beside = [other for other in batch if other != name]
    together = f", planned together with {_some(beside)}" if beside else ""
    whole = () if name in plan.unplaced else whole_cards(spec.server.devices or ())
    cards = [f"  {card}: the host has one free for it" for card in whole]
    first = f"{name} is not there yet: it comes next in fleet {spec.name}{together}"
    return replace(explanation, lines=(first, *explanation.lines, *cards))


def _which_next(spec: FleetSpec, names: list[str]) -> str:
    if not names:
        return f"fleet {spec.name} has as many servers as its size.max allows ({spec.size.max}), so none comes next"
    return f"the next servers of fleet {spec.name} are {_some(names)}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more, up to {names[-1]}" if len(names) > SHOWN else "")
