"""The map in numbers: for each cluster and profile how many more fit for certain and at best, and what is stranded. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleet.gpu.capacity.passthrough import answers
from fleet.gpu.catalogue.profiles import stem_of
from fleet.gpu.report.as_json import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fleet.gpu.capacity.remaining import GpuCapacity, HostCapacity, ProfileRoom, SiteCapacity

ALONE = "hosts outside clusters"


@dataclass(slots=True)
class ProfileSum:
    """Room for a profile on a cluster.

    Attributes:
        profile: the name as its hosts print it.
        guaranteed: more vGPUs of it, for certain.
        possible: more vGPUs of it, at best.
        stranded_gb: memory that nothing further is certain to use, on the GPUs that serve it.
    """

    profile: str
    guaranteed: int = 0
    possible: int = 0
    stranded_gb: float = 0.0


@dataclass(frozen=True, slots=True)
class ClusterSum:
    """A cluster's hosts in numbers; ``closed``: hosts that take no VM; ``unknown``: GPUs that are not offered.

    ``cards``: GPUs that are passed through whole.
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
    """The clusters of a map in its order. A host's sum is what it takes one after the other (docs/gpu.md has the proof)."""
    clusters: dict[str | None, list[HostCapacity]] = defaultdict(list)
    for host in capacity.hosts:
        if host.shown:
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
    """Whole GPUs that are free for certain; a closed host, or one on which somebody cannot be read, has none."""
    if host.blocked or host.host.cards_unknown:
        return 0
    cards = [card for card in host.host.cards if card.gpu]
    claims = [claim for claim in host.host.claims if any(answers(card, claim.device) for card in cards)]
    return max(0, sum(not card.vm for card in cards) - len(claims))


def _profiles(host: HostCapacity) -> Iterator[ProfileSum]:
    """Each profile of a host that one of its GPUs serves, or would; what vSphere 9 tells of the host is not passed."""
    told = {stem_of(name): count for name, count in host.host.remaining}
    for name in host.host.profiles:
        rooms = [(gpu, room) for gpu in host.gpus if (room := gpu.room(name)) and serves(room)]
        if rooms:
            most = told.get(stem_of(name))
            sure, at_best = sum(room.guaranteed for _, room in rooms), sum(room.possible for _, room in rooms)
            if most is not None:
                sure, at_best = min(sure, most), min(at_best, most)
            yield ProfileSum(name, sure, at_best, _stranded(gpu for gpu, _ in rooms))


def serves(room: ProfileRoom) -> bool:
    """Whether a GPU takes such a profile, or would when it has room: its mode is not the other one."""
    return room.possible > 0 or room.why_not is None or room.why_not.code != "mode"


def _stranded(gpus: Iterable[GpuCapacity]) -> float:
    return sum(gpu.stranded_gb for gpu in gpus)


def summary_lines(clusters: Sequence[ClusterSum], unknown_profiles: Sequence[str] = ()) -> list[str]:
    """The numbers as text, a table for each cluster."""
    lines: list[str] = []
    for one in clusters:
        lines += [_head(one), *_table(one.profiles), ""]
    if unknown_profiles:
        lines += [f"profiles that the catalogue does not know: {', '.join(unknown_profiles)}", ""]
    return lines[:-1] or ["no host shows a GPU"]


def _head(one: ClusterSum) -> str:
    hosts = f"{_count(one.hosts, 'host')}{f' ({one.closed} closed)' if one.closed else ''}"
    gpus = f"{_count(one.gpus, 'GPU')}{f' ({one.unknown} not offered)' if one.unknown else ''}"
    cards = f", {one.cards_free} of {_count(one.cards, 'whole card')} free" if one.cards else ""
    return f"{f'cluster {one.name}' if one.name else ALONE}: {hosts}, {gpus}, {one.stranded_gb:g} GB stranded{cards}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _table(profiles: Sequence[ProfileSum]) -> list[str]:
    if not profiles:
        return []
    rows = [("profile", "certain", "at best", "GB stranded")]
    rows += [(stem_of(one.profile), str(one.guaranteed), str(one.possible), f"{one.stranded_gb:g}") for one in profiles]
    wide = max(len(row[0]) for row in rows)
    return [f"  {name:<{wide}}  {sure:>7}  {best:>7}  {stranded:>11}" for name, sure, best, stranded in rows]


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
