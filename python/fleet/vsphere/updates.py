"""One ``WaitForUpdatesEx`` loop for many objects: vCenter reports what changed, nothing is read per object."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Self

from fleet.vsphere.api import vim, vmodl
from fleet.vsphere.collect import Properties, moid, read_some
from fleet.vsphere.faults import CONNECTION_ERRORS, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fleet.vsphere.session import Session

LONGEST_WAIT = 10.0  # seconds for which vCenter may hold one answer back
UPDATES_IN_ONE_ANSWER = 500
_TROUBLE_LIMIT = 4  # failures in a row before the connection is given up

_pc = vmodl.query.PropertyCollector


class Updates:
    """Watches some properties of a growing set of objects of one type.

    It has a property collector of its own in vCenter, which is destroyed with all its filters at the end of the
    ``with`` block. A lost session or connection is mended: everything is watched anew, and because the first answer
    then reports all values again, no change is missed.

    Attributes:
        values: what is known of each object that is watched, by moid.
        gone: moids of watched objects that are not there any more.
    """

    def __init__(self, session: Session, kind: Any, paths: Sequence[str], *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Watch ``paths`` of objects of the managed type ``kind``."""
        self.values: dict[str, Properties] = {}
        self.gone: set[str] = set()
        self._session, self._kind, self._paths, self._sleep = session, kind, tuple(paths), sleep
        self._objects: dict[str, Any] = {}
        self._unread: set[str] = set()  # objects of which vCenter has not said anything yet
        self._collector: Any = None
        self._version = ""
        self._trouble = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def add(self, objects: Iterable[Any]) -> None:
        """Watch more objects; those that are gone already are put into ``gone`` at once."""
        fresh = {str(moid(item)): item for item in objects}
        self._objects |= fresh
        self._unread |= fresh.keys()
        for key in fresh:
            self.values.setdefault(key, {})
        if fresh:
            self._session.read(lambda: self._filter(fresh), "watch objects")

    def forget(self, key: str) -> None:
        """Ignore an object from now on; vCenter goes on reporting it until the end."""
        self._objects.pop(key, None)
        self._unread.discard(key)

    def wait(self, seconds: float) -> set[str]:
        """Wait for changes at most about ``seconds``; returns the moids of objects that changed, came or went.

        Raises:
            ConnectError: vCenter could not be reached several times in a row.
            VSphereError: vCenter refused.
        """
        limit = min(LONGEST_WAIT, self._session.timeout / 2)
        # vCenter counts whole seconds; without patience of its own it would answer at once, again and again
        options = _pc.WaitOptions(maxWaitSeconds=max(1, int(min(seconds, limit))), maxObjectUpdates=UPDATES_IN_ONE_ANSWER)
        try:
            if self._collector is None:
                self._restart()
            update = self._collector.WaitForUpdatesEx(self._version, options)
        except (vim.fault.NotAuthenticated, vmodl.query.InvalidCollectorVersion, vmodl.fault.ManagedObjectNotFound) as fault:
            self._mend(fault)
            self._collector = None
            return set()
        except CONNECTION_ERRORS as error:
            self._mend(error)
            self._drop()  # what the lost answer said is said again by a new collector
            return set()
        except vmodl.MethodFault as fault:
            raise translate("wait for vCenter's updates", fault) from fault
        self._trouble = 0
        changed = self._take(update) if update is not None else set()
        if self._unread and not getattr(update, "truncated", None):
            changed |= self._ask()
        return changed

    def _mend(self, error: Exception) -> None:
        self._trouble += 1
        if self._trouble > _TROUBLE_LIMIT:
            raise translate("wait for vCenter's updates", error) from error
        self._sleep(0.1 * 2**self._trouble)

    def _restart(self) -> None:
        self._drop()
        objects = dict(self._objects)
        if objects:
            self._session.read(lambda: self._filter(objects), "watch objects")

    def _filter(self, objects: dict[str, Any]) -> None:
        if self._collector is None:
            self._collector, self._version = self._session.content.propertyCollector.CreatePropertyCollector(), ""
            objects = dict(self._objects)
        left = {key: item for key, item in objects.items() if key not in self.gone}
        while left:
            spec = _pc.FilterSpec(
                objectSet=[_pc.ObjectSpec(obj=item, skip=False) for item in left.values()],
                propSet=[_pc.PropertySpec(type=self._kind, pathSet=list(self._paths), all=False)],
                reportMissingObjectsInResults=True,
            )
            try:
                self._collector.CreateFilter(spec, False)  # noqa: FBT003
            except vim.fault.NotAuthenticated:
                self._collector = None
                raise
            except vmodl.fault.ManagedObjectNotFound as missing:
                key = str(moid(missing.obj))
                if left.pop(key, None) is None:
                    self._collector = None
                    raise
                self.gone.add(key)
            else:
                return

    def _drop(self) -> None:
        if self._collector is not None:
            with contextlib.suppress(vmodl.MethodFault, *CONNECTION_ERRORS):
                self._collector.DestroyPropertyCollector()
        self._collector, self._version = None, ""

    def _take(self, update: Any) -> set[str]:
        """Put an answer into ``values`` and ``gone``. A truncated one is taken as far as it goes; the rest follows."""
        self._version = update.version
        changed: set[str] = set()
        partial: dict[str, Any] = {}
        for part in update.filterSet:
            for missing in part.missingSet:
                self._lost(str(moid(missing.obj)), changed)
            for change in part.objectSet:
                key = str(moid(change.obj))
                if key not in self._objects:
                    continue
                if change.kind == "leave":
                    self._lost(key, changed)
                    continue
                changed.add(key)
                for entry in change.changeSet:
                    if entry.name not in self._paths:
                        partial[key] = change.obj
                    elif entry.op in ("remove", "indirectRemove"):
                        self.values[key].pop(entry.name, None)
                    else:
                        self.values[key][entry.name] = entry.val
        # vCenter may report a part of a property ("guest.net[…].ipAddress"): then the whole is read, in bulk
        for item, values in read_some(self._session, partial.values(), self._paths, kind=self._kind) if partial else ():
            self.values[str(moid(item))].update(values)
        self._unread -= changed
        return changed

    def _ask(self) -> set[str]:
        """Read, in bulk, the objects of which a whole answer said nothing: those that are gone, as a rule."""
        unread = {key: self._objects[key] for key in self._unread - self.gone}
        self._unread.clear()
        changed: set[str] = set()
        for item, values in read_some(self._session, unread.values(), self._paths, kind=self._kind):
            self.values[str(moid(item))].update(values)
            changed.add(str(moid(item)))
        for key in unread.keys() - changed:
            self._lost(key, changed)
        return changed

    def _lost(self, key: str, changed: set[str]) -> None:
        if key in self._objects:
            self.gone.add(key)
            changed.add(key)
