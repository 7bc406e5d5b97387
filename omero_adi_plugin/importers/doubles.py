# SPDX-License-Identifier: GPL-2.0-or-later
"""Doubles: key-values of an order that are on its images, or plates, twice.

A request of a worker that has lost its lease may arrive after the next worker has asked what is missing: then both have written
them. Nothing of OMERO forbids two annotations of the same order, so it is looked for afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.importers import batches
from omero_adi_plugin.importers.annotating import annotations_on
from omero_adi_plugin.importers.deletions import delete_objects
from omero_adi_plugin.importers.references import link, reference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from omero_adi_plugin.importers.protocol import Session

_DOING = "removing doubled key-values"


def remove_doubled_key_values(
    session: Session, kind: str, families: Sequence[Sequence[int]], *, namespace: str, uuid: str, check: Callable[[], None]
) -> int:
    """Leave one annotation of the order on each object, and return how many were removed.

    Of the annotations of one fileset that stays which is on most of its objects, the oldest of several such; the other objects
    are linked to it before the rest is deleted, so that none is without key-values at any moment.

    Parameters
    ----------
    kind : str
        What they are on: "Image" or "Plate".
    families : sequence of sequences of int
        The objects of each fileset, by their ids: they share one annotation.
    namespace : str
        Of the annotations.
    uuid : str
        The order that they name.
    check : callable
        Asked before anything is changed; what it raises ends it.

    Raises
    ------
    ConnectionBroken, ServerTrouble
        OMERO does not answer, or refuses. What is doubled still is found the next time.
    """
    there = annotations_on(session, kind, [each for family in families for each in family], namespace=namespace, uuid=uuid)
    missing, surplus = [], set()
    for family in families:
        on: dict[int, set[int]] = defaultdict(set)
        for each in family:
            for annotation in there.get(each, ()):
                on[annotation].add(each)
        if all(len(there.get(each, ())) <= 1 for each in family):
            continue
        kept = min(on, key=lambda annotation: (-len(on[annotation]), annotation))
        doubled = {annotation for each in family if len(there.get(each, ())) > 1 for annotation in there[each]} - {kept}
        missing += [(kept, each) for each in family if each not in on[kept] and doubled & set(there.get(each, ()))]
        surplus |= doubled
    if surplus:
        check()
        _link(session, kind, missing)
        reached(Point.DOUBLES_LINKED)
        check()
        delete_objects(session, "Annotation", sorted(surplus), doing=_DOING)
        reached(Point.DOUBLES_DELETED)
    return len(surplus)


def _link(session: Session, kind: str, missing: Sequence[tuple[int, int]]) -> None:
    """Link objects to annotations; all of a fileset lie in one group, which may not be the session's any more."""
    hql = f"select o.id, o.details.group.id from {kind} o where o.id in (:ids)"  # noqa: S608 (one of two names)
    by_group: dict[int, list[Any]] = defaultdict(list)
    groups = dict(batches.ask(session, hql, [each for _, each in missing]))
    for kept, each in missing:
        made = link(f"{kind}AnnotationLink", parent=reference(kind, each), child=reference("MapAnnotation", kept))
        by_group[groups[each]].append(made)
    for group, links in by_group.items():
        batches.save(session, links, doing=_DOING, group=group)
