"""vGPU profiles and GPU models by the names that hosts print.

A profile's name is only read here, never composed: ESXi prefixes it with ``grid_`` or ``nvidia_`` depending on the driver, in
lower case, while NVIDIA's own tables print it without prefix and in capitals. Two names mean the same profile when they agree
without prefix and case; what is left of the name then is its *stem*. A name that the table does not have is kept as it is and
reported; nothing is concluded from its digits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from fleet.gpu.catalogue.gpu_models import ROWS
from fleet.gpu.catalogue.mig_geometry import DOUBLE, INSTANCE_PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleet.gpu.catalogue.gpu_models import Row
    from fleet.gpu.catalogue.mig_geometry import InstanceProfile

MIG = "mig"
TIME_SLICED = "timeSliced"
MIG_TIME_SLICED = "migTimeSliced"  # several vGPUs in one GPU instance: their positions are not public

_PREFIX = re.compile(r"^(?:grid|nvidia)_", re.IGNORECASE)
_TYPE = re.compile(r"^(?:(?P<compute>\d)-)?(?P<memory>\d+)C(?P<media>ME)?:(?P<most>\d+)$")
_SEPARATORS = re.compile(r"[\s_-]+")
_VENDOR = re.compile(r"^(?:NVIDIA|TESLA|QUADRO|GRID)-?")
_LEAST_OF_NOMINAL, _MOST_OF_NOMINAL = 0.9, 1.05  # ECC takes up to a sixteenth of the frame buffer


@dataclass(frozen=True, slots=True)
class Profile:
    """One vGPU profile.

    Attributes:
        stem: its name without prefix, in lower case: ``a100-2-10c``.
        token: the GPU model's token: ``A100``.
        backing: ``mig``, ``timeSliced`` or ``migTimeSliced``.
        memory_gb: frame buffer in GB.
        max_per_gpu: how many of it one physical GPU takes when it holds nothing else.
        instance: the name of its GPU instance profile (``2g``); empty for time-sliced profiles.
        media: whether it carries the media extension, which a GPU has once.
        max_per_vm: how many of it one VM may hold, where vCenter reports it; else None.
        conflict: in what vCenter and the table disagree; empty where they agree.
    """

    stem: str
    token: str
    backing: str
    memory_gb: int
    max_per_gpu: int
    instance: str = ""
    media: bool = False
    max_per_vm: int | None = None
    conflict: str = ""

    @property
    def size_order(self) -> tuple[int, int, int, str]:
        """Sort key of "largest first": frame buffer, then the fewest starts, then the media extension, then the name.

        Of two profiles of one size the most constrained goes first: a 4g has one start and a 3g two, a 2g three and a
        double-memory 1g four.
        """
        instance = self.instance_profile()
        starts = len(instance.starts) if instance else 0
        return (-self.memory_gb, starts, -int(self.media), self.stem)

    def instance_profile(self) -> InstanceProfile | None:
        """Its GPU instance profile; None for time-sliced profiles."""
        return INSTANCE_PROFILES[gpu_model(self.token).slices][self.instance] if self.instance else None


@dataclass(frozen=True, slots=True)
class GpuModel:
    """One model of physical GPU.

    Attributes:
        token: with what its profiles' names begin: ``A100D``.
        marketing_name: ``A100``, upper case, as GPU names that hosts print contain it.
        form_factor: ``pcie``, ``sxm``, or empty.
        memory_gb: nominal frame buffer in GB.
        slices: memory slices in MIG mode; 0 without MIG.
        switches_mode: whether the manager may switch an empty one between MIG and time-slicing by itself.
        profiles: its vGPU profiles.
    """

    token: str
    marketing_name: str
    form_factor: str
    memory_gb: int
    slices: int
    switches_mode: bool
    profiles: tuple[Profile, ...]


def stem_of(name: str) -> str:
    """A profile's name without ``grid_`` or ``nvidia_``, in lower case."""
    return _PREFIX.sub("", name.strip()).lower()


def _profiles(row: Row, token: str) -> Iterable[Profile]:
    for column, backing in ((row.mig, MIG), (row.time_sliced, TIME_SLICED), (row.mig_time_sliced, MIG_TIME_SLICED)):
        for text in column.split():
            if not (match := _TYPE.match(text)):
                raise ValueError(f"gpu_models.py: {text!r} of {token} is not a type like 1-5C:7 or 4C:10")
            memory, compute = int(match["memory"]), match["compute"] or ""
            double = compute == "1" and memory * row.slices * 2 >= row.memory_gb * 3
            yield Profile(
                stem=f"{token}-{text.partition(':')[0]}".lower(),
                token=token,
                backing=backing,
                memory_gb=memory,
                max_per_gpu=int(match["most"]),
                instance=(DOUBLE if double else f"{compute}g") if backing == MIG else "",
                media=bool(match["media"]),
            )


@cache
def gpu_models() -> dict[str, GpuModel]:
    """Every GPU model of the table by its token, in the table's order."""
    found: dict[str, GpuModel] = {}
    for row in ROWS:
        for entry in row.tokens.split():
            token, _, board = entry.partition("=")
            name, _, form = board.partition("/")
            profiles = tuple(_profiles(row, token))
            found[token] = GpuModel(token, name.upper(), form, row.memory_gb, row.slices, row.switches_mode, profiles)
    return found


def gpu_model(token: str) -> GpuModel:
    """The GPU model of a token.

    Raises:
        KeyError: the table has no such token.
    """
    return gpu_models()[token]


@cache
def profile_table() -> dict[str, Profile]:
    """Every profile of the table by its stem."""
    return {profile.stem: profile for model in gpu_models().values() for profile in model.profiles}


@cache
def tokens_of_gpu(name: str, memory_gb: float | None) -> tuple[str, ...]:
    """The tokens of the models that a GPU may be.

    Args:
        name: its name as vCenter reports it (``deviceName``).
        memory_gb: its frame buffer in GiB as reported; None: not reported.

    Returns:
        Several when the name leaves the form factor open (their profiles are alike), none when the table does not know it.
    """
    name = _SEPARATORS.sub("-", name.strip().upper())
    while (shorter := _VENDOR.sub("", name)) != name:
        name = shorter
    found = [model for model in gpu_models().values() if _is_model(model, name) and memory_matches(memory_gb, model.memory_gb)]
    longest = max((len(model.marketing_name) for model in found), default=0)
    return tuple(model.token for model in found if len(model.marketing_name) == longest or name == model.token.upper())


def _is_model(model: GpuModel, name: str) -> bool:
    """Whether a GPU's name, without its vendor and in capitals, can be that of a model: its token, or marketing name and form."""
    sxm, pcie = "SXM" in name or "HBM3" in name, "PCIE" in name or "NVL" in name
    other_form = (model.form_factor == "pcie" and sxm and not pcie) or (model.form_factor == "sxm" and pcie)
    named = re.match(rf"{re.escape(model.marketing_name)}(?:-|$)", name) is not None
    return name == model.token.upper() or (named and not other_form)


def memory_matches(memory_gb: float | None, nominal_gb: int) -> bool:
    """Whether a reported frame buffer (GiB; None: not reported) can be that of a GPU or profile of ``nominal_gb``."""
    return memory_gb is None or nominal_gb * _LEAST_OF_NOMINAL <= memory_gb <= nominal_gb * _MOST_OF_NOMINAL


@dataclass(frozen=True, slots=True)
class ProfileFact:
    """What vCenter itself reports of a profile; it takes precedence over the table.

    Attributes:
        name: the profile's name.
        sharing: ``vgpuProfileInfo.profileSharing``: timeSliced or mig; None when not reported (before 7.0.3).
        max_per_vm: ``VmiopBackingOption.maxInstances``; None when not read.
        memory_gb: ``vgpuProfileInfo.fbSizeInGib``; None when not reported.
    """

    name: str
    sharing: str | None = None
    max_per_vm: int | None = None
    memory_gb: float | None = None


class Catalogue:
    """The table of profiles, with what vCenter reports of them."""

    def __init__(self, facts: Iterable[ProfileFact] = ()) -> None:
        """Apply what vCenter reports of profiles (``facts``): sharing, limit per VM, frame buffer."""
        self._facts = {stem_of(fact.name): fact for fact in facts}
        self._found: dict[str, Profile | None] = {}

    def find(self, name: str) -> Profile | None:
        """The profile that a host or VM calls ``name``; None for a name that the table does not have."""
        if name not in self._found:
            self._found[name] = self._look_up(stem_of(name))
        return self._found[name]

    def _look_up(self, stem: str) -> Profile | None:
        profile, fact = profile_table().get(stem), self._facts.get(stem)
        if profile is None or fact is None:
            return profile
        conflict = ""
        if fact.sharing is not None and profile.backing not in (MIG_TIME_SLICED, fact.sharing):
            conflict = f"vCenter calls {stem} {fact.sharing}, the catalogue {profile.backing}"
        elif fact.memory_gb is not None and not memory_matches(fact.memory_gb, profile.memory_gb):
            conflict = f"vCenter gives {stem} {fact.memory_gb:g} GB, the catalogue {profile.memory_gb} GB"
        return replace(profile, max_per_vm=fact.max_per_vm, conflict=conflict)

    def unknown(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names that the table does not have, each once, in their own spelling and order."""
        return tuple(dict.fromkeys(name for name in names if self.find(name) is None))
