"""Runs of the real playbooks that are killed, and what a fleet of container VMs looks like from outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.lab.control import Control, When

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "molecule" / "inventory"
FLEET = "killed-anywhere"
RUN_S = 240  # no run takes longer
TAIL = 60  # lines of a run's output that are worth telling
# What is on a guest: services, what Triton starts with, its models, the balancer's servers.
LOOK = r"""
systemctl is-active docker; systemctl is-active triton; systemctl is-active haproxy
sha256sum /home/nvidia/startup.sh 2>/dev/null
cd /home/nvidia/triton_models 2>/dev/null && find . -type f | sort | xargs sha256sum | sha256sum
grep -oE '^ +server [^ ]+' /etc/haproxy/haproxy.cfg 2>/dev/null | sort | uniq -c
grep -c . /etc/hosts
"""


def environment() -> dict[str, str]:
    """For Ansible: wired as in production, output without colours (molecule forces them, which beats ANSIBLE_NOCOLOR)."""
    inherited = {name: value for name, value in os.environ.items() if name != "ANSIBLE_FORCE_COLOR"}
    return {**inherited, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"}


def control() -> Control:
    """The lab's control interface."""
    control = json.loads((ROOT / "build" / "lab" / "lab.json").read_text())["control"]
    return Control(control["url"], control["token"])


class WrongError(Exception):
    """A run that did not end as it should, or never came to its point; the end of its output."""


@dataclass(frozen=True)
class Point:
    """Where a run is killed: at a write in vCenter that the lab holds, or when a task of Ansible's begins."""

    name: str
    method: str = ""
    write: int = 1
    when: When = "before"
    task: str = ""
    after: float = 0.0
    """Seconds from the beginning of the task."""


@dataclass(frozen=True)
class Run:
    """A playbook with extra variables."""

    playbook: str
    extra: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """Its command line."""
        words = [word for one in (f"fleet={FLEET}", *self.extra) for word in ("-e", one)]
        program = Path(sys.executable).with_name("ansible-playbook")
        return [str(program), "-i", str(SITE), str(ROOT / "playbooks" / f"{self.playbook}.yml"), *words]


class Started:
    """A run in a process of its own, its output read line by line."""

    def __init__(self, run: Run) -> None:
        self.process = subprocess.Popen(
            run.command(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment()
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            with self._news:
                self.lines.append(line.rstrip())
                self._news.notify_all()

    def await_task(self, task: str, seconds: float = RUN_S) -> bool:
        """Wait until a task begins; the run's output says so."""
        banner = re.compile(rf"^TASK \[.*{re.escape(task)}")
        end = time.monotonic() + seconds
        with self._news:
            while not any(banner.match(line) for line in self.lines):
                if self.process.poll() is not None or time.monotonic() > end:
                    return False
                self._news.wait(0.2)
        return True

    def kill(self) -> None:
        """SIGKILL for the run and whatever it started: Ansible's workers have sessions of their own."""
        while doomed := [*_descendants(self.process.pid)]:
            for one in (self.process.pid, *doomed):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            if self.process.poll() is not None:
                break
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Wait for it."""
        code = self.process.wait(RUN_S)
        time.sleep(0.05)
        return code


def _descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents.setdefault(int((entry / "stat").read_text().rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def killed(run: Run, point: Point) -> float:
    """Start a run, kill it at the point, and return the seconds that it had.

    Raises:
        WrongError: it never came there.
    """
    begun = time.monotonic()
    lab = control()
    hold = lab.hold(point.when, write=point.write, method=point.method) if point.method else ""
    started = Started(run)
    there = False
    try:
        there = lab.await_hold(hold, RUN_S).state == "waiting" if hold else started.await_task(point.task)
        time.sleep(point.after)
    finally:
        started.kill()
        if hold and there:
            lab.await_dropped(hold)  # released before, a held write would take effect after all
        lab.clear_holds()
    if not there:
        raise WrongError("\n".join([*started.lines[-TAIL:], f"the run never came to {point.name}"]))
    return time.monotonic() - begun


def finished(run: Run, *, code: int = 0) -> list[str]:
    """Run to the end; returns its output.

    Raises:
        WrongError: it ended with another code.
    """
    started = Started(run)
    found = started.end()
    if found != code:
        raise WrongError("\n".join([*started.lines[-TAIL:], f"{run}: ended with {found}, not {code}"]))
    return started.lines


def fleet(*arguments: str, code: int = 0) -> str:
    """The command line's answer on standard output."""
    env = {**os.environ, "FLEET_SITE": str(SITE), "FLEET_NAME": FLEET}
    command = [str(Path(sys.executable).with_name("fleet")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=env, timeout=RUN_S)
    if done.returncode != code:
        raise WrongError(f"fleet {' '.join(arguments)} ended with {done.returncode}, not {code}:\n{done.stdout}{done.stderr}")
    return done.stdout


def status() -> dict[str, Any]:
    """The fleet as ``fleet status --json`` has it."""
    found: dict[str, Any] = json.loads(fleet("status", "--json"))["fleets"][0]
    return found


def asked(number: int) -> dict[str, int]:
    """Which servers answered through the balancer, and how often."""
    answers: dict[str, int] = json.loads(fleet("ask", "-n", str(number), "--json"))["per_server"]
    return answers


def shape() -> dict[str, Any]:
    """What has to be the same, killed or not: names by their order, because a number that was given out is not reused."""
    now = status()
    names = {server["name"]: f"server {place}" for place, server in enumerate(now["servers"], 1)}
    names |= {balancer["name"]: f"balancer {place}" for place, balancer in enumerate(now["balancers"], 1)}
    answered = asked(8)
    places = sorted((s["host"], gpu["profile"], str(gpu["pci_id"])) for s in now["servers"] for gpu in s["gpus"])
    return {
        "target": now["target"],
        "request": now["request"],
        "states": sorted(f"{names[one['name']]} {one['state']}" for one in now["servers"] + now["balancers"]),
        "places": places,
        "answers come from": sorted(names[name] for name in answered),
        "guests": _guests(names),
    }


def _guests(names: dict[str, str]) -> dict[str, str]:
    program = Path(sys.executable).with_name("ansible")
    group = FLEET.replace("-", "_")
    command = [str(program), "-i", str(SITE), f"{group}_triton:{group}_loadbalancer", "-b", "-m", "ansible.builtin.shell"]
    env = environment() | {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal"}
    done = subprocess.run([*command, "-a", LOOK], capture_output=True, text=True, check=False, cwd=ROOT, env=env, timeout=RUN_S)
    result: dict[str, str] = {}
    for part in re.split(r"(?m)^(?=\S+ \| )", done.stdout):
        head, _, body = part.partition("\n")
        if " | " in head:
            for name, word in names.items():
                body = body.replace(name, word)
            result[names.get(head.split(" | ")[0], head)] = body.strip()
    return result


def differences(now: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """In words, what is not the same."""
    return [f"{key} is {now[key]}, not {wanted[key]}" for key in wanted if now[key] != wanted[key]]


def strangers() -> dict[str, Any]:
    """The lab's GPU books without this fleet."""
    return {
        f"{gpu['host']} {gpu['pci_id']}": [held["vm"] for held in gpu["held"] if not held["vm"].startswith(f"{FLEET}-")]
        for gpu in control().gpus()
    }
