"""Starts vCenter tasks in bounded number and waits for all of them on one loop."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleet.errors import FleetError, VSphereError, WaitError
from fleet.vsphere.api import vim
from fleet.vsphere.collect import moid, read_listed
from fleet.vsphere.faults import translate
from fleet.vsphere.updates import Updates
from fleet.wait import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import datetime

    from fleet.vsphere.collect import Properties
    from fleet.vsphere.session import Session

    #: Told of each change of a task: key, state (started, queued, running, success, error), per cent or None.
    Progress = Callable[[str, str, int | None], None]

_BUSY = "TaskInProgress"  # another task works on the VM: nothing was done, and it may be tried again
_BUSY_PAUSE = 0.5  # seconds before that

_PATHS = ("info.state", "info.error", "info.result", "info.progress")
_ENDED = ("success", "error")
_RUNS = ("queued", "running")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one task of a batch ended: the object it made or changed, or the error.

    The error is a ``VSphereError`` with vCenter's fault, a ``WaitError`` when the time was up (the task goes on in
    vCenter), or a ``ConnectError``.
    """

    moid: str | None = None
    error: FleetError | None = None

    @property
    def fault(self) -> str | None:
        """The type name of the vSphere fault that it failed with."""
        return getattr(self.error, "fault", None)


@dataclass(frozen=True, slots=True)
class Job:
    """A task to start.

    Attributes:
        key: the caller's name for it.
        start: makes the call that returns the task.
        serial_group: jobs of one group run one after the other, in their order; jobs without a group are free.
    """

    key: str
    start: Callable[[], Any]
    serial_group: str | None = None


def running(session: Session, kinds: Collection[str], entities: Collection[str]) -> dict[str, Any]:
    """Tasks that have not ended, begun by anybody: what a killed run left behind. One round trip.

    Args:
        session: the session.
        kinds: their descriptionIds: ``VirtualMachine.powerOn``.
        entities: moids of the objects that they work on.

    Returns:
        The tasks by moid, for :func:`wait_tasks`.
    """
    return {str(moid(task)): task for task, values in _recent(session, kinds, entities) if values.get("info.state") in _RUNS}


def recent(session: Session, kinds: Collection[str], entities: Collection[str], since: datetime) -> tuple[dict[str, Any], bool]:
    """As :func:`running`, and whether any such task ended after a moment by vCenter's clock. One round trip."""
    found = _recent(session, kinds, entities)
    ended = any((done := values.get("info.completeTime")) is not None and done >= since for _, values in found)
    return {str(moid(task)): task for task, values in found if values.get("info.state") in _RUNS}, ended


def _recent(session: Session, kinds: Collection[str], entities: Collection[str]) -> list[tuple[Any, Properties]]:
    paths = ("info.state", "info.descriptionId", "info.entity", "info.completeTime")
    manager = session.content.taskManager
    found = read_listed(session, manager, "recentTask", vim.Task, paths, tried="read vCenter's recent tasks")
    return [
        (task, values)
        for task, values in found
        if str(values.get("info.descriptionId", "")) in kinds and moid(values.get("info.entity")) in entities
    ]


def wait_tasks(
    session: Session,
    tasks: Mapping[str, Any],
    *,
    timeout: float,
    what: str = "task",
    on_progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Outcome]:
    """Wait for tasks that run already.

    Args:
        session: the session.
        tasks: the tasks by the caller's own keys.
        timeout: seconds for all of them together.
        what: what they do, for messages: ``clone``.
        on_progress: called at each change.
        clock: seconds that only go forward.
    """
    jobs = [Job(key, lambda task=task: task) for key, task in tasks.items()]  # type: ignore[misc]
    return run_tasks(session, jobs, what=what, limit=len(jobs), timeout=timeout, on_progress=on_progress, clock=clock)


def run_tasks(
    session: Session,
    jobs: Iterable[Job],
    *,
    what: str,
    limit: int,
    timeout: float,
    on_progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Outcome]:
    """Start tasks, at most ``limit`` in flight, and wait for them.

    Args:
        session: the session.
        jobs: what to start, in this order as far as their groups allow.
        what: what the tasks do, for messages: ``power on``.
        limit: tasks in flight together.
        timeout: seconds for all of them together.
        on_progress: called at each change.
        clock: seconds that only go forward.
        sleep: waits some seconds.

    Returns:
        The outcome of every job. One that fails leaves the others alone; those of its group go on, too. One whose VM is
        busy with another task is tried again until the time is up.
    """
    batch = _Batch(session, jobs, what, max(1, limit), Deadline(timeout, clock=clock), on_progress)
    with Updates(session, vim.Task, _PATHS) as updates:
        try:
            while batch.unfinished and not batch.deadline.over:
                batch.fill(updates)
                if batch.in_flight:
                    batch.take(updates, updates.wait(batch.deadline.left()))
                elif batch.unfinished:
                    sleep(min(_BUSY_PAUSE, batch.deadline.left()))
        except FleetError as error:
            batch.give_up(error)
    return batch.result()


class _Batch:
    def __init__(
        self, session: Session, jobs: Iterable[Job], what: str, limit: int, deadline: Deadline, on_progress: Progress | None
    ) -> None:
        self._session, self._what, self._limit, self.deadline = session, what, limit, deadline
        self._tell = on_progress or (lambda *_: None)
        self._queue = deque(jobs)
        self._order = [job.key for job in self._queue]
        self._flying: dict[str, Job] = {}  # by the task's moid
        self._outcomes: dict[str, Outcome] = {}
        self._busy: dict[str, tuple[float, Outcome]] = {}  # of queued jobs: not before that little is left; what came last

    @property
    def in_flight(self) -> int:
        """Tasks that were started and have not ended."""
        return len(self._flying)

    @property
    def unfinished(self) -> int:
        """Jobs that have no outcome yet."""
        return len(self._flying) + len(self._queue)

    def fill(self, updates: Updates) -> None:
        """Start what may start."""
        fresh: list[Any] = []
        held: deque[Job] = deque()
        busy = {job.serial_group for job in self._flying.values() if job.serial_group is not None}
        while self._queue and len(self._flying) < self._limit and not self.deadline.over:
            job = self._queue.popleft()
            if job.serial_group in busy or self._pausing(job):
                held.append(job)
                busy |= {job.serial_group} if job.serial_group is not None else set()
                continue
            try:
                task = self._session.write(job.start, f"{self._what} {job.key}")
            except FleetError as error:
                if self._keep(job, Outcome(error=error)):
                    held.append(job)
                continue
            self._tell(job.key, "started", None)
            self._flying[str(moid(task))] = job
            fresh.append(task)
            if job.serial_group is not None:
                busy.add(job.serial_group)
        self._queue.extendleft(reversed(held))
        updates.add(fresh)
        self._sweep(updates)

    def take(self, updates: Updates, changed: Iterable[str]) -> None:
        """Look at the tasks that changed."""
        for key in changed:
            job = self._flying.get(key)
            if job is None:
                continue
            values = updates.values[key]
            state = str(values.get("info.state", "queued"))
            progress = values.get("info.progress")
            if state in _ENDED:
                self._land(updates, key, _ended(f"{self._what} {job.key}", state, values))
            else:
                self._tell(job.key, state, progress)
        self._sweep(updates)

    def give_up(self, error: FleetError) -> None:
        """Blame everything unfinished on one error."""
        for job in (*self._flying.values(), *self._queue):
            self._outcomes.setdefault(job.key, Outcome(error=error))

    def result(self) -> dict[str, Outcome]:
        """The outcomes in the jobs' order; what has not ended by now ran into the time limit."""
        seconds = self.deadline.seconds
        for key, job in self._flying.items():
            late = f"{self._what} {job.key}: vCenter's task {key} did not end within {seconds:g} s; it may still end later"
            self._outcomes.setdefault(job.key, Outcome(error=WaitError(late)))
        for job in self._queue:
            if job.key in self._busy:
                self._outcomes.setdefault(job.key, self._busy[job.key][1])
            never = f"{self._what} {job.key}: not begun within {seconds:g} s, the tasks before it took all the time"
            self._outcomes.setdefault(job.key, Outcome(error=WaitError(never)))
        return {key: self._outcomes[key] for key in self._order}

    def _sweep(self, updates: Updates) -> None:
        for key in [key for key in self._flying if key in updates.gone]:
            what = f"{self._what} {self._flying[key].key}"
            text = f"{what}: ManagedObjectNotFound: vCenter forgot its task {key} before telling how it ended"
            self._land(updates, key, Outcome(error=VSphereError(text, fault="ManagedObjectNotFound")))

    def _land(self, updates: Updates, key: str, outcome: Outcome) -> None:
        updates.forget(key)
        job = self._flying.pop(key)
        if self._keep(job, outcome):
            self._queue.appendleft(job)

    def _keep(self, job: Job, outcome: Outcome) -> bool:
        """Note how a job ended, or that it is to be tried again."""
        if outcome.fault == _BUSY:
            self._busy[job.key] = (self.deadline.left() - _BUSY_PAUSE, outcome)
            return True
        self._outcomes[job.key] = outcome
        self._tell(job.key, "error" if outcome.error else "success", None if outcome.error else 100)
        return False

    def _pausing(self, job: Job) -> bool:
        return job.key in self._busy and self.deadline.left() > max(self._busy[job.key][0], 0.0)


def _ended(what: str, state: str, values: Properties) -> Outcome:
    if state == "success":
        result = values.get("info.result")
        return Outcome(moid=moid(result) if hasattr(result, "_moId") else None)
    error = values.get("info.error")
    if error is None:
        return Outcome(error=VSphereError(f"{what}: vCenter's task failed and gives no reason"))
    return Outcome(error=translate(what, error))
