"""The module ``guest_ready``: runs the checks of a guest; ``checks`` judges what they print."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

from . import checks

if TYPE_CHECKING:
    from collections.abc import Callable

    from .module import Module

PROGRAMS = ("nvidia-container-runtime-hook", "nvidia-container-runtime", "nvidia-ctk")


def fitness(module: Module) -> dict[str, Any]:
    """Run the requested checks. Problems are a result: the action plugin fails, because it also compares the clocks."""
    begin = time.monotonic()
    guest = FitnessChecks(module)
    found = {name: guest.check(name) for name in checks.CHECKS if name in module.params["checks"]}
    return {
        "changed": False,
        "problems": {name: problem for name, problem in found.items() if problem},
        "gpus": [gpu.name for gpu in guest.gpus],
        "docker": guest.docker_version,
        "clock": guest.clock,
        "seconds": round(time.monotonic() - begin, 1),
    }


class FitnessChecks:
    """This guest. Each check returns what is wrong and what to do; an empty text when nothing is wrong."""

    def __init__(self, module: Module) -> None:
        """Give the checks ``wait`` seconds together, in check mode none."""
        self.module = module
        self.p = module.params
        self.gpus: list[checks.GuestGpu] = []
        self.docker_version = ""
        self.clock: dict[str, Any] | None = None
        self.deadline = time.monotonic() + (0 if module.check_mode else self.p["wait"])

    def check(self, name: str) -> str:
        """Run one of ``checks.CHECKS``."""
        check: Callable[[], str] = getattr(self, f"_{name}")
        return check()

    def _run(self, name: str, *arguments: str) -> tuple[int, str, str]:
        program = self.module.get_bin_path(name)
        if not program:
            return 127, "", f"{name}: not found"
        return self.module.run_command([program, *arguments])

    def _until(self, ask: Callable[[], str]) -> str:
        """Ask again until there is no problem or the time is up."""
        while True:
            problem = ask()
            if not problem or time.monotonic() >= self.deadline:
                return problem
            time.sleep(1)

    def _cloud_init(self) -> str:
        def ask() -> str:
            problem = checks.cloud_init(*self._run("cloud-init", "status")[:2])
            return problem if "still" in problem else ""

        return self._until(ask) or checks.cloud_init(*self._run("cloud-init", "status")[:2])

    def _time(self) -> str:
        out = self._run("timedatectl", "show")[1]
        shown = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
        self.clock = {"synchronised": shown.get("NTPSynchronized") == "yes", "epoch": time.time()}
        return ""

    def _disk(self) -> str:
        free = {}
        for path in self.p["disk_paths"]:
            try:
                free[path] = shutil.disk_usage(path).free >> 20
            except FileNotFoundError:
                continue
        return checks.disk(free, self.p["disk_free_mb"])

    def _docker(self) -> str:
        def ask() -> str:
            code, out, error = self._run("docker", "version", "--format", "{{.Server.Version}}")
            self.docker_version = out.strip()
            return checks.docker(code, out, error, self.p["docker_minimum"])

        return ask() if self._run("docker", "--version")[0] else self._until(ask)

    def _toolkit(self) -> str:
        if not self.p["gpus"]:
            return ""
        found = [name for name in PROGRAMS if self.module.get_bin_path(name)]
        return checks.toolkit(found, "" if found else self._run("docker", "info", "--format", "{{json .Runtimes}}")[1])

    def _smi(self) -> tuple[int, str]:
        code, out, error = self._run("nvidia-smi", "-q")
        self.gpus = checks.parse_gpus(out)
        return code, out or error

    def _gpus(self) -> str:
        def ask() -> str:
            code, text = self._smi()
            return checks.gpus(code, text, self.p["gpus"])

        if not self.p["gpus"]:
            return ""
        return ask() if not self.module.get_bin_path("nvidia-smi") else self._until(ask)

    def _license(self) -> str:
        def ask() -> str:
            self._smi()
            return checks.licenses(self.gpus)

        return self._until(ask) if self.p["gpus"] else ""
