"""Which vGPUs a server holds, is to hold, and held before it was changed. Pure.

``fleet.yml`` says what new servers receive. Where one is to hold something else, that is stored with it (``fleet.gpus``), as long
as it lives; while it is changed, also what it held before, and where (``fleet.gpus_was``).
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.domain.identity import TRITON
from fleet.errors import FleetError
from fleet.gpu.catalogue.profiles import stem_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.domain.spec import FleetSpec
    from fleet.domain.state import FleetState, Member

GPUS, WAS = "gpus", "gpus_was"


@dataclass(frozen=True, slots=True)
class Was:
    """What a server held before its change began, and the moid of the host that it was on."""

    profiles: tuple[str, ...]
    host: str | None

    def text(self) -> str:
        """As it is kept with the server."""
        return json.dumps({"gpus": list(self.profiles), "host": self.host}, separators=(",", ":"))


def held(member: Member) -> tuple[str, ...]:
    """The profiles of the vGPUs that a server holds."""
    return tuple(profile for profile, _ in member.gpus)


def same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two lists of profiles are the same vGPUs, whatever their order and spelling."""
    return Counter(map(stem_of, one)) == Counter(map(stem_of, other))


def named(profiles: Sequence[str]) -> str:
    """Profiles for people: ``2 x grid_a100-2-10c``."""
    return (
        " + ".join(f"{count} x {profile}" if count > 1 else profile for profile, count in Counter(profiles).items()) or "no GPU"
    )


def wanted_gpus(member: Member, spec: FleetSpec) -> tuple[str, ...]:
    """The profiles that a server is to hold: its own, else those of ``fleet.yml``."""
    own = member.vm.keys.get(GPUS)
    return tuple(own.split(",")) if own else spec.server.gpu_profiles


def was_of(member: Member) -> Was:
    """What a server held before its change began: as kept with it while that is open, else what it holds.

    Raises:
        FleetError: what is kept with it cannot be understood.
    """
    kept = member.vm.keys.get(WAS)
    if not kept or member.state == "ready":  # ready: another run brought it back into traffic, with what it holds
        return Was(held(member), member.vm.host)
    found = _parsed(kept)
    if found is None:
        raise FleetError(
            f"The key fleet.{WAS} of {member.name} cannot be understood, so what it held before its change is not known. Remove "
            f"the key from VM {member.vm.moid} in vCenter, then say what it is to hold: fleet scale-up {member.name} --gpus N."
        )
    return found


def _parsed(text: str) -> Was | None:
    try:
        document = json.loads(text)
        profiles, host = document["gpus"], document["host"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    sound = isinstance(profiles, list) and all(isinstance(one, str) for one in profiles) and isinstance(host, str | None)
    return Was(tuple(profiles), host) if sound else None


def kept_key(profiles: Sequence[str], spec: FleetSpec) -> str | None:
    """The key ``fleet.gpus`` for a server with these vGPUs: none where they are what ``fleet.yml`` says."""
    return None if same(profiles, spec.server.gpu_profiles) else ",".join(profiles)


def deviations(state: FleetState, spec: FleetSpec) -> tuple[str, ...]:
    """A line for each server that does not hold what ``fleet.yml`` says, or not what it is to hold; linked vGPUs are left out."""
    lines = []
    for member in state.of_role(TRITON):
        wanted, now = wanted_gpus(member, spec), held(member)
        if not member.confirmed or member.grouped or member.state == "creating":
            continue
        if not same(wanted, now):
            lines.append(
                f"{member.name} is to hold {named(wanted)} and holds {named(now)}: fleet scale-up {member.name} finishes it"
            )
        elif GPUS in member.vm.keys:
            lines.append(f"{member.name} holds {named(now)}, by fleet scale-up; fleet.yml says {named(spec.server.gpu_profiles)}")
    return tuple(lines)
