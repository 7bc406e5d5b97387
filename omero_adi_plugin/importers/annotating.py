# SPDX-License-Identifier: GPL-2.0-or-later
"""Annotating: the key-values of an order on what was imported, as one map annotation a fileset, however many images.

An annotation is saved in the same call as its links, and those of many filesets in one call: so it never hangs on nothing, and
does not cost each file its requests (`docs/decisions/0011-annotations-in-one-call.md`). Only that of a fileset with more images
than go into a call is begun on one of them, and completed; what ends in between is found by the next attempt.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import omero.all
from omero.rtypes import rstring

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import ImportInterrupted, ServerTrouble
from omero_adi_plugin.ice import translated
from omero_adi_plugin.importers import batches
from omero_adi_plugin.importers.references import link, reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.importers.protocol import KeyValues, Session

ORDER_KEY = "UUID"
"""The key under which other programs find the objects of an order: its value is exactly the order's uuid."""

CHARACTERS = 4096
"""So much text counts as one more object of a batch: else 1,000 annotations with long values would be more than Ice takes at once
(omero.constants.MESSAGESIZEMAX, 250 MB, and the server has to hold it several times)."""

NAMED = 3
"""How many objects that are gone an error names."""

_DOING = "writing key-values"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    """One annotation, and the objects that lack it.

    kind:   "Image" or "Plate".
    known:  id of the annotation, if others of its fileset have it already.
    group:  the OMERO group that the objects lie in, None: the session's.
    """

    kind: str
    ids: Sequence[int]
    values: Sequence[tuple[str, str]]
    known: int | None = None
    group: int | None = None

    @property
    def weight(self) -> int:
        """How many objects it counts as."""
        text = 0 if self.known is not None else sum(len(key) + len(value) for key, value in self.values)
        return 1 + len(self.ids) + text // CHARACTERS

    def links(self, annotation: Any) -> list[Any]:  # noqa: ANN401 (classes of omero.model are untyped)
        """Return the unsaved links of the objects to their annotation."""
        entity = f"{self.kind}AnnotationLink"
        return [link(entity, parent=reference(self.kind, identity), child=annotation) for identity in self.ids]


def annotate(session: Session, items: Sequence[KeyValues], *, namespace: str, uuid: str, fresh: bool) -> None:
    """Put the key-values of filesets on their plates or, where those are none, on their images.

    The annotations belong to the session's user, and lie in the group of what they are on.

    Parameters
    ----------
    items : sequence of KeyValues
        One a fileset. Text that OMERO cannot hold (NUL, halves of surrogate pairs) is written as an escape.
    namespace : str
        Namespace of the annotations.
    uuid : str
        The order; becomes the value of the key `UUID`, whatever the items say.
    fresh : bool
        All of it was imported just now by this attempt, so nothing of it can have an annotation of the order yet. If not, OMERO
        is asked: objects with such an annotation, of this user, are left alone, and one that others of their fileset have is
        linked to the rest.

    Raises
    ------
    ImportInterrupted
        Objects are not there any more; some of the others may have been annotated.
    ServerTrouble
        OMERO refuses. In this case, too, filesets of earlier batches have their annotations.
    """
    notes = [_note(item, uuid) for item in items]
    if not fresh:
        notes = _outstanding(session, notes, namespace, uuid)
    try:
        for group, of_group in groupby(sorted(notes, key=_group), key=_group):
            for some in batches.packed(of_group, lambda note: note.weight):
                _write(session, some, namespace, group=None if group == 0 else group)
    except ServerTrouble as trouble:  # it says that a row is gone, but hardly which one
        _groups(session, notes, because=trouble)
        raise


def _note(item: KeyValues, uuid: str) -> _Note:
    values = [(ORDER_KEY, uuid), *(pair for pair in item.values if pair[0] != ORDER_KEY)]
    kind, ids = ("Plate", item.plates) if item.plates else ("Image", item.images)
    return _Note(kind=kind, ids=ids, values=[(_storable(key), _storable(value)) for key, value in values])


def _group(note: _Note) -> int:
    return note.group or 0


def _outstanding(session: Session, notes: list[_Note], namespace: str, uuid: str) -> list[_Note]:
    """Return what is not in OMERO yet."""
    groups = _groups(session, notes)
    there = {
        (kind, identity): annotations[0]
        for kind, ids in _by_kind(notes)
        for identity, annotations in annotations_on(session, kind, ids, namespace=namespace, uuid=uuid).items()
    }
    outstanding = []
    for note in notes:
        known = [there[note.kind, identity] for identity in note.ids if (note.kind, identity) in there]
        missing = [identity for identity in note.ids if (note.kind, identity) not in there]
        if missing:
            group = groups[note.kind, missing[0]]  # all images of a fileset lie in one
            elsewhere = None if group == session.group_id else group
            outstanding.append(replace(note, ids=missing, known=min(known, default=None), group=elsewhere))
    return outstanding


def _groups(session: Session, notes: list[_Note], *, because: Exception | None = None) -> dict[tuple[str, int], int]:
    """Return the group of each object.

    Raises
    ------
    ImportInterrupted
        Some are gone; `because` is what drew attention to it.
    """
    groups: dict[tuple[str, int], int] = {}
    gone = []
    for kind, ids in _by_kind(notes):
        hql = f"select o.id, o.details.group.id from {kind} o where o.id in (:ids)"  # noqa: S608 (one of two names)
        groups |= {(kind, identity): group for identity, group in batches.ask(session, hql, ids)}
        gone += [f"{kind}:{identity}" for identity in ids if (kind, identity) not in groups]
    if gone:
        more = f" and {len(gone) - NAMED} more" if len(gone) > NAMED else ""
        words = "not there any more, or out of the user's sight, when the key-values were to be written"
        raise ImportInterrupted(path=", ".join(gone[:NAMED]) + more, words=words) from because
    return groups


def annotations_on(session: Session, kind: str, ids: Sequence[int], *, namespace: str, uuid: str) -> dict[int, list[int]]:
    """Return the annotations of an order, of the session's user, by the object that they are on; the oldest first.

    Parameters
    ----------
    kind : str
        "Image" or "Plate".
    ids : sequence of int
        The objects; those without such an annotation are left out.
    namespace, uuid : str
        As in `annotate`.
    """
    hql = (
        f"select l.parent.id, a.id from {kind}AnnotationLink l join l.child a join a.mapValue v "  # noqa: S608 (one of two names)
        "where l.parent.id in (:ids) and a.ns = :ns and a.details.owner.id = :user and v.name = :key and v.value = :uuid"
    )
    there: dict[int, set[int]] = defaultdict(set)
    for identity, annotation in batches.ask(session, hql, ids, ns=namespace, user=session.user_id, key=ORDER_KEY, uuid=uuid):
        there[identity].add(annotation)
    return {identity: sorted(annotations) for identity, annotations in there.items()}


def _by_kind(notes: list[_Note]) -> list[tuple[str, list[int]]]:
    by_kind = [(kind, [identity for note in notes if note.kind == kind for identity in note.ids]) for kind in ("Image", "Plate")]
    return [(kind, ids) for kind, ids in by_kind if ids]


def _write(session: Session, notes: list[_Note], namespace: str, *, group: int | None) -> None:
    links: list[Any] = []
    for note in notes:
        if note.known is not None:
            links += note.links(reference("MapAnnotation", note.known))
        elif len(note.ids) < batches.OBJECTS:
            links += note.links(_annotation(namespace, note.values))
        else:
            links += _begun(session, note, namespace, group=group)
    reached(Point.KEY_VALUES_DUE)
    batches.save(session, links, doing=_DOING, group=group)
    reached(Point.KEY_VALUES_SAVED)


def _begun(session: Session, note: _Note, namespace: str, *, group: int | None) -> list[Any]:
    """Save an annotation with the first of its links, more than go into one call; return the others."""
    first = replace(note, ids=note.ids[:1]).links(_annotation(namespace, note.values))[0]
    context = [] if group is None else [{"omero.group": str(group)}]
    with translated(_DOING, session.where):
        saved = session.factory.getUpdateService().saveAndReturnObject(first, *context)
    reached(Point.KEY_VALUES_BEGUN)
    known = saved.getChild().getId().getValue()
    return replace(note, ids=note.ids[1:]).links(reference("MapAnnotation", known))


def _annotation(namespace: str, values: Sequence[tuple[str, str]]) -> Any:  # noqa: ANN401 (classes of omero.model are untyped)
    made = omero.model.MapAnnotationI()
    made.setNs(rstring(namespace))
    made.setMapValue([omero.model.NamedValue(key, value) for key, value in values])
    return made


def _storable(text: str) -> str:
    r"""Return text as OMERO can hold it: PostgreSQL has no NUL, and what is no Unicode never gets past Ice.

    Escapes are those of JSON, `\u0000`, so that a list in JSON stays one.
    """
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\\u0000").encode("utf-8", "backslashreplace").decode("utf-8")
