"""Small random sites for the property tests, as the fast code and as the brute force see them."""

from __future__ import annotations

import os
import random

from brute_force import MIG, TIMED, Host, arrangements
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from fleet.gpu.site import GpuHost, GpuSite, Occupant, PhysicalGpu

MODELS = {"a100": ("NVIDIA A100-PCIE-40GB", 40), "a30": ("NVIDIA A30", 24)}
PROFILES = tuple(f"grid_{stem}" for stem in (*MIG, *TIMED))
TIMES = int(os.environ.get("FLEET_GPU_EXAMPLES", "1"))  # multiplies the number of random sites of every property test


def examples(count: int):
    """Settings for ``count`` random sites (times FLEET_GPU_EXAMPLES)."""
    return settings(
        max_examples=count * TIMES, deadline=None, derandomize=TIMES == 1, suppress_health_check=list(HealthCheck), database=None
    )


seeded = random.Random
seeds = st.integers(0, 2**32 - 1).map(seeded)


def occupied(rng: random.Random, card: str, mode: str, fullness: float) -> tuple[tuple[str, int | None], ...]:
    """Profiles that can stand together on a GPU, some with a known start."""
    pool = [p for p in (MIG if mode == "multiInstanceGpu" else TIMED) if p.split("-")[0] == card]
    held: tuple[tuple[str, int | None], ...] = ()
    while rng.random() < fullness:
        profile = rng.choice(pool)
        start = rng.choice(MIG[profile][1]) if profile in MIG and rng.random() < 0.3 else None
        more = tuple(sorted((*held, (profile, start)), key=lambda one: (one[1] is None, one)))
        if arrangements((card, mode), more):
            held = more
    return held


def gpu_of(host: str, index: int, card: str, mode: str, held: tuple[tuple[str, int | None], ...]) -> PhysicalGpu:
    occupants = tuple(Occupant(f"vm-{index}-{n}", f"grid_{profile}", start) for n, (profile, start) in enumerate(held))
    model, memory = MODELS[card]
    return PhysicalGpu(host, f"0000:{index:02x}:00.0", model, memory, mode, occupants)


def host_of(rng: random.Random, name: str, gpus: int, *, modes: tuple[str, ...], cards: tuple[str, ...], fullness: float = 0.5):
    """One random host: as fleet.gpu sees it, and as the brute force does."""
    models, held, own = [], [], []
    for index in range(gpus):
        card, mode = rng.choice(cards), rng.choice(modes)
        standing = occupied(rng, card, mode, fullness)
        models.append((card, mode))
        held.append(standing)
        own.append(gpu_of(name, index, card, mode, standing))
    host = GpuHost(name, profiles=PROFILES, max_vgpus_per_vm=8, gpus=tuple(own))
    return host, Host(tuple(models), tuple(held))


def site_of(hosts) -> GpuSite:
    return GpuSite(tuple(hosts))
