# SPDX-License-Identifier: GPL-2.0-or-later
"""Kin: requests that ask what belongs to what: FindParents, FindChildren, LegalGraphTargets."""

from __future__ import annotations

from typing import Any

import omero.cmd

from omero_devserver.cmd.changes import targets_of
from omero_devserver.cmd.responses import failure, refused
from omero_devserver.cmd.work import Work, answers
from omero_devserver.model.schema import ENTITIES, UnknownEntityError
from omero_devserver.store.errors import StoreError
from omero_devserver.store.graphrules import TARGETS, may_be_target


@answers(omero.cmd.FindParents, steps=4)
def find_parents(work: Work, request: Any) -> Any:
    """Find what contains objects."""
    try:
        found = work.server.store.graphs.parents(
            work.who, targets_of(request), request.typesOfParents or [], stop_before=request.stopBefore or []
        )
    except (StoreError, UnknownEntityError) as error:
        return refused(request, error, planning=True)
    return omero.cmd.FoundParents(found)


@answers(omero.cmd.FindChildren, steps=4)
def find_children(work: Work, request: Any) -> Any:
    """Find what objects contain."""
    try:
        found = work.server.store.graphs.children(
            work.who, targets_of(request), request.typesOfChildren or [], stop_before=request.stopBefore or []
        )
    except (StoreError, UnknownEntityError) as error:
        return refused(request, error, planning=True)
    return omero.cmd.FoundChildren(found)


@answers(omero.cmd.LegalGraphTargets)
def legal_targets(_work: Work, request: Any) -> Any:
    """List the classes that a graph request may name."""
    name = type(request.request).__name__
    if name not in TARGETS:
        return failure(request, name="bad-request", message=f"no targets of {name} are known")
    return omero.cmd.LegalGraphTargetsResponse(
        sorted(entity.full_name for entity in ENTITIES.values() if may_be_target(name, entity))
    )
