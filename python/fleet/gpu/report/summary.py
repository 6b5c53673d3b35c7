"""The map in numbers: for each cluster and profile how many more are guaranteed and possible, and what is stranded. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleet.gpu.capacity.passthrough import matches
from fleet.gpu.catalogue.profiles import stem_of
from fleet.gpu.report.as_json import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fleet.gpu.capacity.remaining import GpuCapacity, HostCapacity, ProfileCapacity, SiteCapacity

NO_CLUSTER = "hosts outside clusters"


@dataclass(slots=True)
class ProfileSum:
    """Remaining capacity of a cluster for a profile.

    Attributes:
        profile: the name as its hosts print it.
        guaranteed: more vGPUs of it, guaranteed.
        possible: more vGPUs of it, at best.
        stranded_gb: stranded memory in GB of the GPUs that serve it.
    """

    profile: str
    guaranteed: int = 0
    possible: int = 0
    stranded_gb: float = 0.0


@dataclass(frozen=True, slots=True)
class ClusterSum:
    """A cluster's hosts in numbers.

    Attributes:
        name: the cluster's name; None: hosts outside clusters.
        hosts: hosts with GPUs.
        closed: hosts that take no VM.
        gpus: shared GPUs.
        unknown: GPUs that are not offered.
        stranded_gb: stranded memory in GB.
        profiles: the capacity by profile.
        cards: GPUs that are passed through whole.
        cards_free: those that are guaranteed to be free.
    """

    name: str | None
    hosts: int
    closed: int
    gpus: int
    unknown: int
    stranded_gb: float
    profiles: tuple[ProfileSum, ...]
    cards: int = 0
    cards_free: int = 0


def summary(capacity: SiteCapacity) -> tuple[ClusterSum, ...]:
    """The clusters of a map, in its order.

    Exact for each profile alone: a host takes the sum of what its GPUs take, one after the other (docs/gpu.md has the proof).
    """
    clusters: dict[str | None, list[HostCapacity]] = defaultdict(list)
    for host in capacity.hosts:
        if host.has_gpus:
            clusters[host.host.cluster].append(host)
    return tuple(_cluster(name, hosts) for name, hosts in clusters.items())


def _cluster(name: str | None, hosts: Sequence[HostCapacity]) -> ClusterSum:
    gpus = [gpu for host in hosts for gpu in host.gpus]
    sums: dict[str, ProfileSum] = {}
    for host in hosts:
        for one in _profiles(host):
            total = sums.setdefault(stem_of(one.profile), ProfileSum(one.profile))
            total.guaranteed += one.guaranteed
            total.possible += one.possible
            total.stranded_gb += one.stranded_gb
    return ClusterSum(
        name,
        hosts=len(hosts),
        closed=sum(host.blocked is not None for host in hosts),
        gpus=len(gpus),
        unknown=sum(gpu.view.state is None for gpu in gpus),
        stranded_gb=_stranded(gpus),
        profiles=tuple(sums.values()),
        cards=sum(card.gpu for host in hosts for card in host.host.cards),
        cards_free=sum(map(_free_cards, hosts)),
    )


def _free_cards(host: HostCapacity) -> int:
    """Whole GPUs that are guaranteed to be free; a closed host, or one with a VM that cannot be read, has none."""
    if host.blocked or host.host.cards_unknown:
        return 0
    cards = [card for card in host.host.cards if card.gpu]
    claims = [claim for claim in host.host.claims if any(matches(card, claim.device) for card in cards)]
    return max(0, sum(not card.vm for card in cards) - len(claims))


def _profiles(host: HostCapacity) -> Iterator[ProfileSum]:
    """Each profile of a host that one of its GPUs serves; never more than what vSphere 9 reports for the host."""
    reported = {stem_of(name): count for name, count in host.host.remaining}
    for name in host.host.profiles:
        found = [(gpu, one) for gpu in host.gpus if (one := gpu.of(name)) and serves(one)]
        if found:
            guaranteed, possible = sum(one.guaranteed for _, one in found), sum(one.possible for _, one in found)
            most = reported.get(stem_of(name), possible)
            yield ProfileSum(name, min(guaranteed, most), min(possible, most), _stranded(gpu for gpu, _ in found))


def serves(capacity: ProfileCapacity) -> bool:
    """Whether a GPU serves a profile, full or not: its mode does not exclude it."""
    return capacity.possible > 0 or capacity.why_not is None or capacity.why_not.code != "mode"


def _stranded(gpus: Iterable[GpuCapacity]) -> float:
    return sum(gpu.stranded_gb for gpu in gpus)


def summary_lines(clusters: Sequence[ClusterSum], unknown_profiles: Sequence[str] = ()) -> list[str]:
    """The numbers as text, a table for each cluster."""
    lines: list[str] = []
    for one in clusters:
        lines += [_head(one), *_table(one.profiles), ""]
    if unknown_profiles:
        lines += [f"profiles that the catalogue does not have: {', '.join(unknown_profiles)}", ""]
    return lines[:-1] or ["no host has a GPU that this account can see"]


def _head(one: ClusterSum) -> str:
    hosts = f"{_count(one.hosts, 'host')}{f' ({one.closed} closed)' if one.closed else ''}"
    gpus = f"{_count(one.gpus, 'GPU')}{f' ({one.unknown} not offered)' if one.unknown else ''}"
    cards = f", {one.cards_free} of {_count(one.cards, 'whole card')} free" if one.cards else ""
    return f"{f'cluster {one.name}' if one.name else NO_CLUSTER}: {hosts}, {gpus}, {one.stranded_gb:g} GB stranded{cards}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _table(profiles: Sequence[ProfileSum]) -> list[str]:
    if not profiles:
        return []
    rows = [("profile", "guaranteed", "possible", "GB stranded")]
    rows += [(stem_of(one.profile), str(one.guaranteed), str(one.possible), f"{one.stranded_gb:g}") for one in profiles]
    width = max(len(row[0]) for row in rows)
    return [f"  {name:<{width}}  {sure:>10}  {best:>8}  {stranded:>11}" for name, sure, best, stranded in rows]


def summary_json(clusters: Sequence[ClusterSum], unknown_profiles: Sequence[str] = ()) -> dict[str, Any]:
    """The numbers as a plain dict: ``fleet gpu --summary --json``."""
    return {
        "schema": SCHEMA,
        "clusters": [
            {
                "name": one.name,
                "hosts": one.hosts,
                "closed": one.closed,
                "gpus": one.gpus,
                "unknown": one.unknown,
                "stranded_gb": one.stranded_gb,
                "cards": one.cards,
                "cards_free": one.cards_free,
                "free": {
                    each.profile: {"guaranteed": each.guaranteed, "possible": each.possible, "stranded_gb": each.stranded_gb}
                    for each in one.profiles
                },
            }
            for one in clusters
        ],
        "unknown_profiles": list(unknown_profiles),
    }
