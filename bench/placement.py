"""How long placement takes on a site of 1,000 hosts with 8 GPUs each, every GPU differently occupied.

Prints and asserts nothing: `python bench/placement.py [hosts]`. The site is made from a fixed seed; each question is asked of
five fresh interpreters with empty caches, so the number is that of the first answer. The machine's load is printed with it.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time

from fleet.gpu.placement.place import place
from fleet.gpu.placement.request import Request, equal_servers
from fleet.gpu.site import GpuHost, GpuSite, Occupant, PhysicalGpu

RUNS = 5
MIG = ("a100d-1-10c", "a100d-1-20c", "a100d-2-20c", "a100d-3-40c", "a100d-4-40c", "a100d-7-80c")
TIME_SLICED = ("a100d-10c", "a100d-20c", "a100d-40c")
PROFILES = tuple(f"grid_{stem}" for stem in (*MIG, *TIME_SLICED))
QUESTIONS = {
    "100 x 1g, pack": Request(equal_servers([f"s{i}" for i in range(100)], ["grid_a100d-1-10c"])),
    "1,000 x 2g, pack": Request(equal_servers([f"s{i}" for i in range(1000)], ["grid_a100d-2-20c"])),
    "1,000 x 2g, spread": Request(equal_servers([f"s{i}" for i in range(1000)], ["grid_a100d-2-20c"]), policy="spread"),
    "100 x (2 x 3g)": Request(equal_servers([f"s{i}" for i in range(100)], ["grid_a100d-3-40c"] * 2)),
    "100 x (3g + 1g)": Request(equal_servers([f"s{i}" for i in range(100)], ["grid_a100d-3-40c", "grid_a100d-1-10c"])),
    "50 x 4g and 50 x 1g": Request(
        equal_servers([f"a{i}" for i in range(50)], ["grid_a100d-4-40c"])
        + equal_servers([f"b{i}" for i in range(50)], ["grid_a100d-1-10c"])
    ),
    "100 x 1g, headroom of 10 x 7g": Request(
        equal_servers([f"s{i}" for i in range(100)], ["grid_a100d-1-10c"]), keep="grid_a100d-7-80c", keep_count=10
    ),
    "100,000 x 1g: refused, with reasons": Request(equal_servers([f"s{i}" for i in range(100_000)], ["grid_a100d-1-10c"])),
}


def a_gpu(rng: random.Random, host: str, index: int) -> PhysicalGpu:
    """A GPU with a random mix that fits: most of them MIG, some time-sliced."""
    vms = (f"vm-{host}-{index}-{n}" for n in range(99))
    if rng.random() < 0.25:  # noqa: PLR2004
        held = [rng.choice(TIME_SLICED)] * rng.randint(0, 2)
    else:
        held = rng.choice(
            [[], [MIG[0]], [MIG[3]], [MIG[2], MIG[0]], [MIG[0]] * 3, [MIG[2]] * 2, [MIG[4], MIG[1]], [MIG[3]] * 2, [MIG[5]]]
        )
    mode = (
        "sameSize"
        if held and held[0] in TIME_SLICED
        else rng.choice(["multiInstanceGpu"] * 3 + ["sameSize"])
        if not held
        else "multiInstanceGpu"
    )
    occupants = tuple(Occupant(next(vms), f"grid_{stem}") for stem in held)
    return PhysicalGpu(host, f"0000:{index + 1:02x}:00.0", "NVIDIA A100 80GB PCIe", 80, mode, occupants)


def a_site(hosts: int) -> GpuSite:
    rng = random.Random(2026)  # noqa: S311
    return GpuSite(
        tuple(
            GpuHost(
                name := f"esx-{n:04d}",
                "gpu",
                profiles=PROFILES,
                max_vgpus_per_vm=8,
                gpus=tuple(a_gpu(rng, name, i) for i in range(8)),
            )
            for n in range(hosts)
        )
    )


def ask_once(question: str, hosts: int) -> None:
    """Ask once, in this interpreter, and print the answer's numbers as JSON."""
    site = a_site(hosts)
    began = time.perf_counter()
    plan = place(site, QUESTIONS[question])
    seconds = time.perf_counter() - began
    numbers = {"placed": len(plan.placements), "guaranteed": plan.guaranteed, "possible": plan.possible, "bound": str(plan.bound)}
    print(json.dumps({"seconds": seconds, **numbers}))


def main() -> None:
    hosts = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"{hosts} hosts, {hosts * 8} GPUs; medians of {RUNS} fresh interpreters; load {os.getloadavg()[0]:.1f} at the start")
    for question in QUESTIONS:
        command = [sys.executable, __file__, str(hosts), question]
        answers = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(RUNS)]
        seconds = sorted(answer.pop("seconds") for answer in answers)
        numbers = "  ".join(f"{name} {value}" for name, value in answers[0].items())
        print(f"{statistics.median(seconds):6.3f} s ({seconds[0]:.3f} to {seconds[-1]:.3f})  {question:36}  {numbers}")


if __name__ == "__main__":
    if len(sys.argv) > 2:  # noqa: PLR2004
        ask_once(sys.argv[2], int(sys.argv[1]))
    else:
        main()
