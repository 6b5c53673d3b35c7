"""Whether a host takes a server whatever its vGPU manager does: worst-case (adversarial) analysis.

PowerOn names the host; *which GPU and which slices* a vGPU receives there is the manager's choice. The manager is taken as an
adversary: with a multiset *D* of vGPUs on the host it may have allocated them to the GPUs in any way that fits, and each GPU may
then be in any of its arrangements. So the next vGPU *p* may be refused exactly when *D* can be split so that no GPU is
guaranteed to take *p*: when *D* is a sum of one *blocking* multiset for each GPU. All such sums are one sumset.
docs/gpu.md has the proof.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from fleet.gpu.capacity.state import is_guaranteed
from fleet.gpu.placement.multisets import possible_on, sumset_encoding

if TYPE_CHECKING:
    from fleet.gpu.capacity.state import GpuState
    from fleet.gpu.placement.multisets import Multiset


@lru_cache(maxsize=1 << 16)
def _blocking(state: GpuState, stems: tuple[str, ...], bounds: Multiset, stem: str) -> tuple[Multiset, ...]:
    """The multisets after which a GPU is not guaranteed to take one more vGPU of a profile."""
    return tuple(held for held, now in possible_on(state, stems, bounds).items() if not is_guaranteed(now, stem))


class WorstCase:
    """One host's GPUs in the worst case. Exact within its bounds.

    To make one costs, for each profile, as many shifts of an integer with Π(2·bound + 1) bits as its GPUs have blocking
    multisets. An answer then costs one shift for each vGPU.
    """

    def __init__(self, states: tuple[GpuState, ...], stems: tuple[str, ...], bounds: Multiset, *, unknown_gpu: bool) -> None:
        """Compute all refusals.

        Args:
            states: the host's GPUs.
            stems: the profiles in question.
            bounds: the most vGPUs of each that are placed on the host.
            unknown_gpu: whether the manager may put some of the vGPUs on a GPU that cannot be read.
        """
        self._encoding = sumset_encoding(bounds)
        self._stems = stems
        self._possible = self._encoding.sumset(possible_on(state, stems, bounds) for state in states)
        self._refused: dict[str, int] = {}
        for stem in stems:
            refused = self._encoding.sumset(_blocking(state, stems, bounds, stem) for state in states)
            self._refused[stem] = self._encoding.upward_closure(refused) if unknown_gpu else refused

    def fits_at_best(self, vgpus: Multiset) -> bool:
        """Whether a multiset of vGPUs fits on the host in the best case."""
        return bool(self._possible >> self._encoding.bit(vgpus) & 1)

    def takes(self, vgpus: Multiset, server: tuple[str, ...]) -> bool:
        """Whether a server is guaranteed to fit, its vGPUs one after the other, when ``vgpus`` are there already."""
        now = list(vgpus)
        for stem in server:
            if self._refused[stem] >> self._encoding.bit(tuple(now)) & 1:
                return False
            now[self._stems.index(stem)] += 1
        return True


@lru_cache(maxsize=1 << 12)
def worst_case(states: tuple[GpuState, ...], stems: tuple[str, ...], bounds: Multiset, *, unknown_gpu: bool) -> WorstCase:
    """The worst case of a host's GPUs, cached; arguments as of :class:`WorstCase`."""
    return WorstCase(states, stems, bounds, unknown_gpu=unknown_gpu)
