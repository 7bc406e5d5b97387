# SPDX-License-Identifier: GPL-2.0-or-later
"""ITimeline: what was made or changed when (rules: omero-blitz's TimelineI).

Images count by the time they were acquired, everything else by its events. Links to comments of shares are not there, as there
are no shares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.sys
from omero.rtypes import rlong, rstring, rtime

from omero_devserver.services.query import class_of
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.wire.servant import Call

_CHANGED = (
    "(o.details.creationEvent.time >= :start or o.details.updateEvent.time >= :start)"
    " and (o.details.creationEvent.time <= :end or o.details.updateEvent.time <= :end)"
)
_ACQUIRED = "o.acquisitionDate >= :start and o.acquisitionDate <= :end"
_LATEST = "o.details.updateEvent.id desc"
#: By class: the condition of a period, and the order.
_PERIODS = {
    "Project": (_CHANGED, _LATEST),
    "Dataset": (_CHANGED, _LATEST),
    "RenderingDef": (_CHANGED, _LATEST),
    "Image": (_ACQUIRED, "o.acquisitionDate desc"),
}
_ALL = ("RenderingDef", "Image", "Project", "Dataset")
#: Times of the model are milliseconds; these are far beyond both ends.
_FIRST, _LAST = -(2**52), 2**52
_LIMIT = 50


class Timeline:
    """Operations of ``omero.api.ITimeline``; lists have at most 50 elements if the caller sets no limit, and are his own."""

    def countByPeriod(self, call: Call, types: Sequence[str], start: Any, end: Any, parameters: Any) -> dict[str, int]:
        """Count objects by class; -1 for a class that has no timeline."""
        counted = {}
        for name in types or _ALL:
            if name not in _PERIODS:
                counted[name] = -1
                continue
            condition, wanted = _filtered(call, parameters, _PERIODS[name][0], start, end)
            wanted.noPage()  # that of a list would leave out the one row that counts
            rows = call.server.store.project(call.user, f"select count(o) from {name} o where {condition}", wanted)
            counted[name] = int(rows[0][0].val)
        return counted

    def getByPeriod(
        self, call: Call, types: Sequence[str], start: Any, end: Any, parameters: Any, merge: bool
    ) -> dict[str, list[Any]]:
        """List objects by class, the latest first; `merge` keeps as many of all classes as were asked for of one."""
        found = {name: _listed(call, name, parameters, start, end) for name in types or _ALL if name in _PERIODS}
        return _latest(found, _limit(parameters)) if merge else found

    def getMostRecentObjects(self, call: Call, types: Sequence[str], parameters: Any, merge: bool) -> dict[str, list[Any]]:
        """List objects by class, of all times."""
        return self.getByPeriod(call, types, None, None, parameters, merge)

    def getMostRecentAnnotationLinks(
        self, call: Call, parents: Sequence[str], children: Sequence[str], namespaces: Sequence[str], parameters: Any
    ) -> list[Any]:
        """List the latest annotations of objects, as links."""
        if len(children or ()) > 1:
            raise fault(omero.ApiUsageException, "One class of annotations can be asked for, not several.")
        found: list[Any] = []
        for parent in parents or ("Project", "Dataset", "Image"):
            condition, wanted = _filtered(call, parameters, "1 = 1", None, None)
            for number, namespace in enumerate(namespaces or ()):
                wanted.addString(f"ns{number}", namespace)
            either = " or ".join(f"c.ns like :ns{number}" for number in range(len(namespaces or ())))
            query = f"select o from {parent}AnnotationLink o join fetch o.child c where {condition}"
            query += f" and ({either})" if either else ""
            query += f" and c.class = {class_of(children[0]).name}" if children else ""
            found += call.server.store.objects(call.user, f"{query} order by {_LATEST}", wanted)
        return sorted(found, key=_event, reverse=True)[: _limit(parameters)]

    def getEventLogsByPeriod(self, call: Call, start: Any, end: Any, parameters: Any) -> list[Any]:
        """List what happened to Projects, Datasets and Images: their making, their last change, the acquisition of images."""
        condition, wanted = _filtered(call, parameters, "e.time >= :start and e.time <= :end", start, end)
        logs = []
        for name in ("Dataset", "Project"):
            for action, event in (("INSERT", "creationEvent"), ("UPDATE", "updateEvent")):
                new = " and o.details.updateEvent.id <> o.details.creationEvent.id" if action == "UPDATE" else ""
                query = f"select o.id, e.time from {name} o join o.details.{event} e where {condition}{new}"
                rows = call.server.store.project(call.user, query, wanted)
                logs += [_log(f"ome.model.containers.{name}", row, action) for row in rows]
        condition, wanted = _filtered(call, parameters, _ACQUIRED, start, end)
        rows = call.server.store.project(call.user, f"select o.id, o.acquisitionDate from Image o where {condition}", wanted)
        return logs + [_log("ome.model.core.Image", row, "INSERT") for row in rows]


def _listed(call: Call, name: str, parameters: Any, start: Any, end: Any) -> list[Any]:
    period, order = _PERIODS[name]
    condition, wanted = _filtered(call, parameters, period, start, end)
    fetches = "join fetch o.details.creationEvent join fetch o.details.owner join fetch o.details.group"
    return call.server.store.objects(call.user, f"select o from {name} o {fetches} where {condition} order by {order}", wanted)


def _filtered(call: Call, parameters: Any, condition: str, start: Any, end: Any) -> tuple[str, Any]:
    """Add to a condition whose and in which group, and give the parameters of the query."""
    given = parameters.theFilter if parameters is not None else None
    owner = given.ownerId if given is not None else None
    group = given.groupId if given is not None else None
    wanted = omero.sys.ParametersI()
    wanted.add("start", start if start is not None else rtime(_FIRST))
    wanted.add("end", end if end is not None else rtime(_LAST))
    wanted.page(given.offset.val if given is not None and given.offset is not None else 0, _limit(parameters))
    if owner is None and group is None:
        owner = rlong(call.user.user)
    for name, value in (("owner", owner), ("group", group)):
        if value is not None and value.val >= 0:
            condition += f" and o.details.{name}.id = :{name}"
            wanted.add(name, value)
    return condition, wanted


def _limit(parameters: Any) -> int:
    given = parameters.theFilter if parameters is not None else None
    return int(given.limit.val) if given is not None and given.limit is not None else _LIMIT


def _latest(found: dict[str, list[Any]], limit: int) -> dict[str, list[Any]]:
    kept = sorted((one for listed in found.values() for one in listed), key=_event, reverse=True)[:limit]
    chosen = {id(one) for one in kept}
    return {name: [one for one in listed if id(one) in chosen] for name, listed in found.items()}


def _event(one: Any) -> int:
    return int(one.details.updateEvent.id.val)


def _log(entity: str, row: list[Any], action: str) -> Any:
    log = omero.model.EventLogI()
    log.entityType, log.entityId, log.action = rstring(entity), row[0], rstring(action)
    log.event = omero.model.EventI()
    log.event.time = row[1]
    return log
