# SPDX-License-Identifier: GPL-2.0-or-later
"""Batches: questions and saves about many objects, in parts that OMERO can take.

A list of 40,000 ids costs the session its connection, one of 5,000 is fine, and 1,000 links take 1.7 s (real server, recorded).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from omero_adi_plugin.ice import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from omero_adi_plugin.importers.protocol import Session

_Thing = TypeVar("_Thing")

IDS = 5000
"""How many ids are asked for at once."""

OBJECTS = 1000
"""How many objects are saved at once."""


def ask(session: Session, hql: str, ids: Sequence[int], **parameters: object) -> list[list[Any]]:
    """Return the rows of a query with `(:ids)`, over all groups of the user; no rows for no ids.

    An order within the query holds within a batch: ids of which each decides its own rows are what this is for.
    """
    rows: list[list[Any]] = []
    for start in range(0, len(ids), IDS):
        rows += session.query(hql, all_groups=True, ids=list(ids[start : start + IDS]), **parameters)
    return rows


def save(session: Session, objects: Sequence[Any], *, doing: str, group: int | None = None) -> None:
    """Save objects. If it ends in between, those of whole batches are there: the caller asks first what is missing.

    What OMERO saved is not sent back, which would cost more than the saving (`saveArray` does else what `saveAndReturnArray`
    does: ome.logic.UpdateImpl). A new object that several of a batch lead to is saved once (real server, recorded).

    Parameters
    ----------
    objects : sequence of omero.model.IObject
        Unsaved.
    doing : str
        What an error is to say was being done: "linking key-values".
    group : int or None
        The OMERO group that they are to belong to, None: the session's.

    Raises
    ------
    ServerTrouble
        OMERO refuses one of a batch; then none of that batch is there.
    ConnectionBroken, OmeroDown
        Nobody knows whether the last batch is there.
    """
    context = {} if group is None else {"omero.group": str(group)}
    for start in range(0, len(objects), OBJECTS):
        with translated(doing, session.where):
            service = session.factory.getUpdateService()
            service.saveArray(list(objects[start : start + OBJECTS]), *([context] if context else []))


def packed(things: Iterable[_Thing], weight: Callable[[_Thing], int]) -> Iterator[list[_Thing]]:
    """Part things that must not be torn into batches of at most `OBJECTS` together; what is heavier goes alone.

    Parameters
    ----------
    things : iterable
        In the order in which they are wanted.
    weight : callable
        How many objects each of them is, or counts as.
    """
    batch: list[_Thing] = []
    heavy = 0
    for thing in things:
        more = weight(thing)
        if batch and heavy + more > OBJECTS:
            yield batch
            batch, heavy = [], 0
        batch.append(thing)
        heavy += more
    if batch:
        yield batch
