"""Bulk reads: some properties of many objects in as few round trips as there are pages (``RetrievePropertiesEx``)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from fleet.vsphere.api import vim, vmodl
from fleet.vsphere.faults import CONNECTION_ERRORS, translate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fleet.vsphere.session import Session

PAGE = 1000  # objects in one answer

#: What was read of one object: its values by property path. A path that vCenter did not give is absent.
Properties = dict[str, Any]

_pc = vmodl.query.PropertyCollector


def moid(item: Any) -> str | None:
    """The id of a managed object; ``None`` of nothing."""
    return None if item is None else str(item._moId)  # noqa: SLF001  pyVmomi has no public spelling


def read_all(
    session: Session, paths: Mapping[Any, Sequence[str]], *, page: int = PAGE, root: Any = None
) -> list[tuple[Any, Properties]]:
    """Read properties of every object of some types.

    Round trips: two for the view and one for each page.

    Args:
        session: the session.
        paths: for each managed type, the property paths wanted.
        page: objects in one answer.
        root: folder or datacenter to look below; ``None`` is the whole inventory.

    Returns:
        Each object with what vCenter gave of it; an object that vanishes meanwhile is left out.
    """

    def call() -> list[tuple[Any, Properties]]:
        view = session.content.viewManager.CreateContainerView(root or session.content.rootFolder, list(paths), True)  # noqa: FBT003
        try:
            walk = _pc.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
            return list(_pages(session, [_pc.ObjectSpec(obj=view, skip=True, selectSet=[walk])], paths, page))
        finally:
            with contextlib.suppress(vmodl.MethodFault, *CONNECTION_ERRORS):
                view.DestroyView()

    return session.read(call, "read vCenter's inventory")


def read_some(
    session: Session,
    objects: Iterable[Any],
    paths: Sequence[str],
    *,
    kind: Any = None,
    page: int = PAGE,
    tried: str = "read objects",
) -> list[tuple[Any, Properties]]:
    """Read properties of the objects given, one round trip a page; those that are gone are left out.

    Args:
        session: the session.
        objects: managed objects of one type.
        paths: the property paths wanted.
        kind: their common type; by default the type of the first one.
        page: objects in one answer.
        tried: what is attempted, for the error.
    """
    wanted = {moid(item): item for item in objects}

    def call() -> list[tuple[Any, Properties]]:
        while wanted:
            common = kind or type(next(iter(wanted.values())))
            specs = [_pc.ObjectSpec(obj=item, skip=False) for item in wanted.values()]
            try:
                return list(_pages(session, specs, {common: paths}, page))
            except vmodl.fault.ManagedObjectNotFound as gone:
                if wanted.pop(moid(gone.obj), None) is None:
                    raise
        return []

    return session.read(call, tried)


def read_listed(
    session: Session, owner: Any, path: str, kind: Any, paths: Sequence[str], *, tried: str, page: int = PAGE
) -> list[tuple[Any, Properties]]:
    """Read properties of the objects that a property of another one lists; those that are gone are left out.

    One round trip a page however many are gone: vCenter walks the list itself. ``read_some`` needs one more for each of them.

    Args:
        session: the session.
        owner: the managed object with the list.
        path: its property, a list of managed objects.
        kind: their type.
        paths: the property paths wanted of each.
        tried: what is attempted, for the error.
        page: objects in one answer.
    """
    walk = _pc.TraversalSpec(name=path, type=type(owner), path=path, skip=False)
    specs = [_pc.ObjectSpec(obj=owner, skip=True, selectSet=[walk])]
    return session.read(lambda: list(_pages(session, specs, {kind: paths}, page)), tried)


def read_one(session: Session, item: Any, paths: Sequence[str], *, tried: str) -> Properties:
    """Read properties of one object.

    Raises:
        VSphereError: it is gone; ``fault`` is ``ManagedObjectNotFound``.
    """
    found = read_some(session, [item], paths, tried=tried)
    if not found:
        raise translate(tried, vmodl.fault.ManagedObjectNotFound(obj=item, msg=f"{moid(item)} is no longer there"))
    return found[0][1]


def _pages(
    session: Session, specs: Sequence[Any], paths: Mapping[Any, Sequence[str]], page: int
) -> Iterator[tuple[Any, Properties]]:
    collector = session.content.propertyCollector
    wanted = [_pc.PropertySpec(type=kind, pathSet=list(names), all=False) for kind, names in paths.items()]
    filters = [_pc.FilterSpec(objectSet=list(specs), propSet=wanted, reportMissingObjectsInResults=False)]
    answer = collector.RetrievePropertiesEx(filters, _pc.RetrieveOptions(maxObjects=page))
    while answer is not None:
        for content in answer.objects:
            yield content.obj, {item.name: item.val for item in content.propSet}
        answer = collector.ContinueRetrievePropertiesEx(answer.token) if answer.token else None
