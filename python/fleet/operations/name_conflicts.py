"""What becomes of clones whose name turns out to be taken: ours is adopted, anybody else's means the next number.

The plan steps over every name that it sees. A name can still be taken: by a VM that this account may not see, by one that
came between plan and clone, or by a clone of a killed run that ended meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.domain.record import Record
from fleet.planning import scale_out
from fleet.vsphere.tasks import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fleet.domain.plan import Creation
    from fleet.domain.report import Report
    from fleet.operations.fleet import Controller

ROUNDS = 8  # numbers that may be taken in a row before the last refusal is reported
_TAKEN = "DuplicateName"


def clone_under_free_names(
    controller: Controller,
    creations: Sequence[Creation],
    clone: Callable[[Mapping[Creation, str]], Mapping[str, Outcome]],
    wait: Callable[[], None],
    report: Report,
) -> list[tuple[Creation, Outcome]]:
    """Clone, and settle every name that is taken.

    Args:
        controller: the fleet.
        creations: what the plan wants.
        clone: clones some of them, each given with the name that the plan had for it; outcomes by name.
        wait: waits for clone tasks that are under way: whose they are is seen when they have ended.
        report: receives what was adopted and what was renamed.

    Returns:
        Each creation under the name that it got in the end, with its outcome.
    """
    done: list[tuple[Creation, Outcome]] = []
    todo = {creation: creation.name for creation in creations}
    for left in reversed(range(ROUNDS)):
        outcomes = clone(todo)
        taken = [creation for creation in todo if outcomes[creation.name].fault == _TAKEN]
        done += [(creation, outcomes[creation.name]) for creation in todo if creation not in taken]
        if not taken:
            break
        wait()
        observed = controller.observe()
        own = {m.name: m for m in observed.state.members if m.confirmed}
        adopted = [creation for creation in taken if creation.name in own and own[creation.name].role == creation.role]
        for creation in adopted:
            done.append((creation, Outcome(moid=own[creation.name].vm.moid)))
            report.notes.append(f"{creation.name} was there already, made by an earlier run of this fleet: adopted")
        strangers = [creation for creation in taken if creation not in adopted]
        if not left or not strangers:
            done += [(creation, outcomes[creation.name]) for creation in strangers]
            break
        fresh, record = scale_out.renamed(controller.spec, observed.record or Record(target=0), observed.state, strangers)
        controller.write_record(record)  # numbers that are given out stay given out, also if this run is killed here
        for old, new in zip(strangers, fresh, strict=True):
            report.notes.append(f"{old.name} is the name of somebody else's VM: {new.name} instead")
        todo = {new: todo[old] for old, new in zip(strangers, fresh, strict=True)}
    return done
