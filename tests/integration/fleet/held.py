"""Runs that wait in a write which the lab holds, until somebody kills them."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fleet.lease import store
from fleet.lease.holder import this_owner
from fleet.vsphere.session import connect

from .conftest import BIN, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fleet.lease.value import Lease, Owner

    from .conftest import Site

ELSEWHERE = replace(this_owner("scale_out.yml"), user="anna", host="ops1", process=None)


def playbook(site: Site, name: str, *variables: str) -> list[str]:
    """`ansible-playbook` with extra variables."""
    words = [word for one in variables for word in ("-e", one)]
    return [str(BIN / "ansible-playbook"), "-i", str(site.folder), f"playbooks/{name}.yml", *words]


@contextmanager
def held(site: Site, when: Any, method: str, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A run that waits in a write; yields its process, to be killed. Afterwards nothing of it is left."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PATH": path, "FLEET_SITE": str(site.folder)}
    with site.control.quiet():
        hold = site.control.hold(when, method=method)
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, env=environment)
        try:
            assert site.control.await_hold(hold, 60).state == "waiting"
            yield run
            site.control.await_dropped(hold)
        finally:
            run.kill()
            run.wait()


def someone_else(site: Site, run: str = "theirs", ttl: float = 3600.0, who: Owner = ELSEWHERE) -> Lease:
    """Somebody on another machine holds the fleet's lease."""
    here = site.load()
    with connect(here.endpoint()) as session:
        return store.acquire(session, here.fleet("demo"), run, who, ttl=ttl)


def kill(run: subprocess.Popen[bytes]) -> None:
    """This one process, and none of its children."""
    os.kill(run.pid, signal.SIGKILL)
    run.wait()


def kill_holder(site: Site) -> None:
    """The process that holds the fleet's lease: ``ansible-playbook``, whoever started it."""
    os.kill(site.record().lease["owner"]["process"]["pid"], signal.SIGKILL)
