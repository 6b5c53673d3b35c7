"""The lease of a run, taken and given back as `ansible-playbook` does it: by the action plugin and the callback plugin.

They get the task of plays/lease.yml, in this process and in Ansible's order. What Ansible does around them (inventory, workers,
the other tasks of a run) is left out: tests take a lease some thousand times, and a whole `ansible-playbook` takes seconds.
"""

from __future__ import annotations

import importlib
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleActionFail
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook import Playbook
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import action_loader, callback_loader, connection_loader
from ansible.template import Templar
from ansible.vars.manager import VariableManager

from fleet.ansible import run
from fleet.errors import ConnectError, FleetError, LeaseError, NoRoomError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
PLAY = ROOT / "playbooks" / "plays" / "lease.yml"
#: What the action plugin says of an error besides its text.
ERRORS = {kind.exit_code: kind for kind in (FleetError, UsageError, LeaseError, NoRoomError, ConnectError)}
_BEGIN = threading.Lock()  # a process is one run; here threads are some, and each begins alone


@contextmanager
def leased(site_file: Path, fleet: str | None, **play_vars: Any) -> Iterator[str]:
    """Hold a fleet's lease for the block; yields the run's id, which modules get. ``play_vars`` are those of plays/lease.yml."""
    action_loader.add_directory(str(ROOT / "plugins" / "action"))
    callback_loader.add_directory(str(ROOT / "playbooks" / "callback_plugins"))
    callback = callback_loader.get("fleet_lease")
    try:
        with _BEGIN:
            importlib.reload(run)  # nobody began a run yet, as in a process of its own
            loader = DataLoader()
            playbook = _playbook(loader)
            callback.v2_playbook_on_start(playbook)
            task = _task(playbook)
            result = _run(task, loader, {"fleet_site_file": str(site_file), "fleet_name": fleet, "groups": {}, **play_vars})
            own = run.current().id  # type: ignore[union-attr]
        callback.v2_runner_on_ok(SimpleNamespace(task=task, result=result))
        yield own
    finally:
        callback.v2_playbook_on_stats(None)


def _playbook(loader: DataLoader) -> Playbook:
    inventory = InventoryManager(loader, sources=["localhost,"])
    return Playbook.load(str(PLAY), variable_manager=VariableManager(loader, inventory), loader=loader)


def _task(playbook: Playbook) -> Any:
    (play,) = playbook.get_plays()
    (task,) = (task for block in play.get_tasks() for task in block if task.action == "fleet_lease")
    return task


def _run(task: Any, loader: DataLoader, variables: dict[str, Any]) -> dict[str, Any]:
    templar = Templar(loader, variables)
    task.args = templar.template(task.args)
    context = PlayContext()
    connection = connection_loader.get("local", context)
    action = action_loader.get(
        "fleet_lease", task=task, connection=connection, play_context=context, loader=loader, templar=templar
    )
    try:
        return action.run(task_vars=variables)  # type: ignore[no-any-return]
    except AnsibleActionFail as error:
        raise ERRORS[error.result["exit_code"]](error.message) from None
