# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes: requests that delete, move, give and open or close groups: Delete2, Chgrp2, Chown2, Chmod2, SkipHead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.cmd
import omero.model

from omero_devserver.cmd.responses import failure, refused
from omero_devserver.cmd.work import Work, answers
from omero_devserver.model.schema import UnknownEntityError, find_class
from omero_devserver.store.errors import StoreError
from omero_devserver.store.graphrules import ChildOption
from omero_devserver.store.graphs import Change, check_targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_devserver.store.transfer import Transferred


def _steps(whole: int) -> Callable[[Any], int]:
    """Count steps as a real server does: a dry run leaves out the two that write."""
    return lambda request: whole - 2 if request.dryRun else whole


def targets_of(request: Any) -> dict[str, list[int]]:
    """Read the targets of a graph request; raises UnknownEntityError."""
    targets: dict[str, list[int]] = {}
    for kind, ids in (request.targetObjects or {}).items():
        targets.setdefault(find_class(kind).name, []).extend(ids)
    return targets


def options_of(request: Any) -> list[ChildOption]:
    """Read the child options of a graph request; raises UnknownEntityError and BadOption."""
    return [
        ChildOption(
            include=frozenset(option.includeType or ()),
            exclude=frozenset(option.excludeType or ()),
            include_ns=frozenset(option.includeNs or ()),
            exclude_ns=frozenset(option.excludeNs or ()),
        )
        for option in request.childOptions or []
        if option is not None
    ]


@answers(omero.cmd.Delete2, steps=_steps(6), writes=True)
def delete(work: Work, request: Any) -> Any:
    """Delete objects and what goes with them."""
    if request.typesToIgnore:
        return work.not_implemented(request, "typesToIgnore")
    planning = False
    try:
        options = options_of(request)
        planning = True
        targets = targets_of(request)
        deletion = work.server.store.graphs.delete(work.who, targets, dry_run=bool(request.dryRun), options=options)
    except (StoreError, UnknownEntityError) as error:
        return refused(request, error, planning=planning)
    if not request.dryRun:
        work.files.extend(deletion.files)
        work.data.extend(work.server.disk.data_of(deletion.objects))
    return omero.cmd.Delete2Response({name: list(ids) for name, ids in deletion.objects.items()})


@answers(omero.cmd.Chgrp2, steps=_steps(6), writes=True)
def move(work: Work, request: Any) -> Any:
    """Move objects into another group."""

    def run(targets: dict[str, list[int]], options: list[ChildOption]) -> Transferred:
        return work.server.store.graphs.move(
            work.who, targets, group=request.groupId, dry_run=bool(request.dryRun), options=options
        )

    return _transferred(work, request, run, omero.cmd.Chgrp2Response)


@answers(omero.cmd.Chown2, steps=_steps(7), writes=True)
def give(work: Work, request: Any) -> Any:
    """Give objects to another user; with `targetUsers` all that those own and the caller may give."""

    def run(targets: dict[str, list[int]], options: list[ChildOption]) -> Transferred:
        graphs = work.server.store.graphs
        for owner in request.targetUsers or []:
            for kind, ids in graphs.owned_by(work.who, owner).items():
                targets.setdefault(kind, []).extend(ids)
        return graphs.give(work.who, targets, user=request.userId, dry_run=bool(request.dryRun), options=options)

    return _transferred(work, request, run, omero.cmd.Chown2Response)


@answers(omero.cmd.Chmod2, steps=_steps(6), writes=True)
def set_permissions(work: Work, request: Any) -> Any:
    """Change the permissions of groups."""
    try:
        permissions = int(omero.model.PermissionsI(request.permissions)._perm1)
    except (ValueError, TypeError, omero.ClientError) as error:
        return failure(request, name="bad-permissions", message=str(error))

    def run(targets: dict[str, list[int]], _options: list[ChildOption]) -> Transferred:
        check_targets("Chmod2", targets)
        groups = targets.get("ExperimenterGroup", [])
        return work.server.store.graphs.set_permissions(work.who, groups, permissions=permissions, dry_run=bool(request.dryRun))

    return _transferred(work, request, run, omero.cmd.Chmod2Response)


def _transferred(
    work: Work, request: Any, run: Callable[[dict[str, list[int]], list[ChildOption]], Transferred], response: Any
) -> Any:
    planning = False
    try:
        options = options_of(request)
        planning = True
        done = run(targets_of(request), options)
    except (StoreError, UnknownEntityError) as error:
        return refused(request, error, planning=planning)
    if not request.dryRun:
        work.files.extend(done.files)
        work.data.extend(work.server.disk.data_of(done.deleted))
    return response(_lists(done.included), _lists(done.deleted))


def _lists(objects: Any) -> dict[str, list[int]]:
    return {name: list(ids) for name, ids in objects.items()}


def _skip_steps(request: Any) -> int:
    kind = type(request.request)
    before = 2 if kind is omero.cmd.Chown2 else 1
    return before + (_steps(7 if kind is omero.cmd.Chown2 else 6)(request) if kind in _SKIPPING else 0)


@answers(omero.cmd.SkipHead, steps=_skip_steps, writes=True)
def skip_head(work: Work, request: Any) -> Any:
    """Do something from where objects of some classes are come upon, leaving what is above them."""
    inner = request.request
    if type(inner) not in _SKIPPING:
        text = "must pass a request argument" if inner is None else f"cannot use SkipHead on {type(inner).__name__}"
        return failure(request, name="steps-cancel", message=f"ome.services.graphs.GraphException(message={text})")
    if not request.startFrom:
        text = "ome.services.graphs.GraphException(message=SkipHead requires the start classes to be named)"
        return failure(request, name="graph-fail", message=f"graph traversal policy adjustment failed: {text}")
    change, answer = _SKIPPING[type(inner)]
    to = {Change.MOVE: "groupId", Change.GIVE: "userId"}.get(change)
    try:
        inner.targetObjects = work.server.store.graphs.heads(
            work.who,
            change,
            targets_of(request),
            start_from=frozenset(request.startFrom),
            to=-1 if to is None else getattr(inner, to),
            options=options_of(request),
        )
    except (StoreError, UnknownEntityError) as error:
        return refused(inner, error, planning=True)
    inner.dryRun = bool(inner.dryRun or request.dryRun)
    return answer(work, inner)


_SKIPPING: dict[type, tuple[Change, Callable[[Work, Any], Any]]] = {
    omero.cmd.Delete2: (Change.DELETE, delete),
    omero.cmd.Chgrp2: (Change.MOVE, move),
    omero.cmd.Chown2: (Change.GIVE, give),
}
