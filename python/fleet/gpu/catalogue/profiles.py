"""Profiles by the names that hosts print.

A name is never made here, only read: ESXi prefixes it with ``grid_`` or ``nvidia_`` depending on the driver, in lower case,
while NVIDIA's own tables print it without prefix and in capitals. Two names mean the same profile when they agree without
prefix and case. A name that the table does not have is kept as it is and reported; nothing is concluded from its digits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from fleet.gpu.catalogue.gpu_models import ROWS
from fleet.gpu.catalogue.mig_geometry import DOUBLE, SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleet.gpu.catalogue.gpu_models import Row
    from fleet.gpu.catalogue.mig_geometry import Shape

MIG = "mig"
TIME_SLICED = "timeSliced"
MIG_TIME_SLICED = "migTimeSliced"  # several vGPUs in one GPU instance: positions are nobody's public knowledge

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
        token: the card's token: ``A100``.
        backing: ``mig``, ``timeSliced`` or ``migTimeSliced``.
        memory_gb: frame buffer in GB.
        max_per_gpu: how many of it one physical GPU takes when it holds nothing else.
        shape: name of its GPU instance's shape (``2g``); empty for time-sliced profiles.
        media: whether it carries the media extension, which a GPU has once.
        max_per_vm: how many of it one VM may hold, where vCenter told; else None.
        doubt: why vCenter and the table disagree; empty where they do not.
    """

    stem: str
    token: str
    backing: str
    memory_gb: int
    max_per_gpu: int
    shape: str = ""
    media: bool = False
    max_per_vm: int | None = None
    doubt: str = ""

    @property
    def weight(self) -> tuple[int, int, int, str]:
        """Sort key of "largest first": memory slices, then the choosier of two equals, then the name.

        A 4g has one start and a 3g two, a 2g three and a double-memory 1g four: the choosier goes first.
        """
        shape = self.geometry()
        starts = len(shape.starts) if shape else 0
        return (-self.memory_gb, starts, -int(self.media), self.stem)

    def geometry(self) -> Shape | None:
        """The shape of its GPU instance; None for time-sliced profiles."""
        return SHAPES[card(self.token).slices][self.shape] if self.shape else None


@dataclass(frozen=True, slots=True)
class Card:
    """One kind of physical GPU: its token, size and profiles."""

    token: str
    word: str
    form: str
    memory_gb: int
    slices: int
    switches: bool
    profiles: tuple[Profile, ...]


def stem_of(name: str) -> str:
    """A profile's name without ``grid_`` or ``nvidia_``, in lower case."""
    return _PREFIX.sub("", name.strip()).lower()


def _profiles(row: Row, token: str) -> Iterable[Profile]:
    for column, backing in ((row.mig, MIG), (row.shared, TIME_SLICED), (row.mig_shared, MIG_TIME_SLICED)):
        for text in column.split():
            if not (match := _TYPE.match(text)):
                raise ValueError(f"cards.py: {text!r} of {token} is not a type like 1-5C:7 or 4C:10")
            memory, compute = int(match["memory"]), match["compute"] or ""
            double = compute == "1" and memory * row.slices * 2 >= row.memory_gb * 3
            yield Profile(
                stem=f"{token}-{text.partition(':')[0]}".lower(),
                token=token,
                backing=backing,
                memory_gb=memory,
                max_per_gpu=int(match["most"]),
                shape=(DOUBLE if double else f"{compute}g") if backing == MIG else "",
                media=bool(match["media"]),
            )


@cache
def cards() -> dict[str, Card]:
    """Every card of the table by its token, in the table's order."""
    found: dict[str, Card] = {}
    for row in ROWS:
        for entry in row.tokens.split():
            token, _, model = entry.partition("=")
            word, _, form = model.partition("/")
            found[token] = Card(token, word, form, row.memory_gb, row.slices, row.switches, tuple(_profiles(row, token)))
    return found


def card(token: str) -> Card:
    """The card of a token.

    Raises:
        KeyError: the table has no such token.
    """
    return cards()[token]


@cache
def table() -> dict[str, Profile]:
    """Every profile of the table by its stem."""
    return {profile.stem: profile for one in cards().values() for profile in one.profiles}


@cache
def tokens_of_model(model: str, memory_gb: float | None) -> tuple[str, ...]:
    """The tokens of the cards that a GPU may be, by its reported name and memory (GiB).

    Several when the name leaves the form factor open (their profiles are alike), none when the table does not know it.
    """
    name = _SEPARATORS.sub("-", model.strip().upper())
    while (shorter := _VENDOR.sub("", name)) != name:
        name = shorter
    sxm, pcie = "SXM" in name or "HBM3" in name, "PCIE" in name or "NVL" in name
    found = []
    for one in cards().values():
        by_word = re.match(rf"{re.escape(one.word.upper())}(?:-|$)", name) is not None
        wrong_form = (one.form == "pcie" and sxm and not pcie) or (one.form == "sxm" and pcie)
        if (name != one.token.upper() and (not by_word or wrong_form)) or not near(memory_gb, one.memory_gb):
            continue
        found.append(one)
    longest = max((len(one.word) for one in found), default=0)
    return tuple(one.token for one in found if len(one.word) == longest or name == one.token.upper())


def near(memory_gb: float | None, nominal: int) -> bool:
    """Whether a reported frame buffer (GiB; None: not told) can be that of a card of ``nominal`` GB."""
    return memory_gb is None or nominal * _LEAST_OF_NOMINAL <= memory_gb <= nominal * _MOST_OF_NOMINAL


@dataclass(frozen=True, slots=True)
class ProfileFact:
    """What vCenter itself says of a profile; it beats the catalogue.

    Attributes:
        name: the profile's name.
        sharing: ``vgpuProfileInfo.profileSharing``: timeSliced or mig; None when not told (before 7.0.3).
        max_per_vm: ``VmiopBackingOption.maxInstances``; None when not asked.
        memory_gb: ``vgpuProfileInfo.fbSizeInGib``; None when not told.
    """

    name: str
    sharing: str | None = None
    max_per_vm: int | None = None
    memory_gb: float | None = None


class Catalogue:
    """The table with vCenter's own word on top."""

    def __init__(self, facts: Iterable[ProfileFact] = ()) -> None:
        """Take over what vCenter says of profiles (``facts``): its sharing, its limit per VM, its frame buffer."""
        self._facts = {stem_of(fact.name): fact for fact in facts}
        self._found: dict[str, Profile | None] = {}

    def find(self, name: str) -> Profile | None:
        """The profile that a host or VM calls ``name``; None for a name that the table does not have."""
        if name not in self._found:
            self._found[name] = self._look_up(stem_of(name))
        return self._found[name]

    def _look_up(self, stem: str) -> Profile | None:
        profile, fact = table().get(stem), self._facts.get(stem)
        if profile is None or fact is None:
            return profile
        doubt = ""
        if fact.sharing is not None and profile.backing not in (MIG_TIME_SLICED, fact.sharing):
            doubt = f"vCenter calls {stem} {fact.sharing}, the catalogue {profile.backing}"
        elif fact.memory_gb is not None and not near(fact.memory_gb, profile.memory_gb):
            doubt = f"vCenter gives {stem} {fact.memory_gb:g} GB, the catalogue {profile.memory_gb} GB"
        return replace(profile, max_per_vm=fact.max_per_vm, doubt=doubt)

    def unknown(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names that the table does not have, each once, in their own spelling and order."""
        return tuple(dict.fromkeys(name for name in names if self.find(name) is None))
