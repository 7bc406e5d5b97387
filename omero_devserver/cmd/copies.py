# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies: Duplicate, with the files that belong to rows and to no repository."""

from __future__ import annotations

import shutil
from typing import Any

import omero.cmd

from omero_devserver.cmd.changes import targets_of
from omero_devserver.cmd.responses import refused
from omero_devserver.cmd.work import Work, answers
from omero_devserver.model.schema import UnknownEntityError
from omero_devserver.store.duplicate import Kept
from omero_devserver.store.errors import StoreError


@answers(omero.cmd.Duplicate, steps=lambda request: 3 if request.dryRun else 14, writes=True)
def duplicate(work: Work, request: Any) -> Any:
    """Copy objects and all below them but what `typesToReference` and `typesToIgnore` name; imported files are refused."""
    if request.childOptions:
        return work.not_implemented(request, "childOptions")
    try:
        done = work.server.store.graphs.duplicate(
            work.who,
            targets_of(request),
            kept=Kept(referenced=frozenset(request.typesToReference or ()), ignored=frozenset(request.typesToIgnore or ())),
            dry_run=bool(request.dryRun),
        )
    except (StoreError, UnknownEntityError) as error:
        return refused(request, error, planning=True)
    disk = work.server.disk
    for root, place in (("OriginalFile", disk.attachment), ("Pixels", disk.pixel_buffer), ("Thumbnail", disk.thumbnail)):
        for original, copy in done.copies.get(root, {}).items():
            if place(original).is_file():
                work.made.append(place(copy))
                shutil.copyfile(place(original), place(copy))
    return omero.cmd.DuplicateResponse({name: list(ids) for name, ids in done.objects.items()})
