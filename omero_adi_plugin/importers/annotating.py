# SPDX-License-Identifier: GPL-2.0-or-later
"""Annotating: the key-values of an order on what was imported, as one map annotation a fileset, however many images."""

from __future__ import annotations

import contextlib
import io
import threading
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import ImportInterrupted
from omero_adi_plugin.ice import translated
from omero_adi_plugin.importers import batches
from omero_adi_plugin.importers.references import link, reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from omero_adi_plugin.importers.protocol import Session

ORDER_KEY = "UUID"
"""The key under which other programs find the objects of an order: its value is exactly the order's uuid."""

_stdout = threading.Lock()
"""Held while stdout is turned away: it belongs to the whole process, and two who turn it away at once lose it for good."""


def annotate(
    session: Session,
    *,
    images: Sequence[int] = (),
    plates: Sequence[int] = (),
    namespace: str,
    values: Mapping[str, str],
    uuid: str,
) -> None:
    """Put key-values on plates or, without plates, on images; what is there already is not repeated.

    Objects that carry a map annotation of this namespace with this uuid are left alone. If only some of them do, because an
    earlier attempt ended in between, that annotation is linked to the others.

    Parameters
    ----------
    images, plates : sequence of int
        Ids of one fileset's images and plates. If there are plates, they carry the key-values instead of their images.
    namespace : str
        Namespace of the annotation.
    values : mapping of str to str
        The key-values.
    uuid : str
        The order; becomes the value of the key `UUID`, whatever `values` says.

    Raises
    ------
    ImportInterrupted
        An object is not there any more.
    """
    kind, ids = ("Plate", plates) if plates else ("Image", images)
    if not ids:
        return
    there = _annotations(session, kind, ids, namespace, uuid)
    missing = [identity for identity in ids if identity not in there]
    if not missing:
        return
    if there:
        annotation = min(there.values())
    else:
        annotation = _post(session, kind, missing.pop(0), namespace, dict(values) | {ORDER_KEY: uuid})
    child = reference("MapAnnotation", annotation)
    links = [link(f"{kind}AnnotationLink", parent=reference(kind, identity), child=child) for identity in missing]
    batches.save(session, links, doing="linking key-values")


def _annotations(session: Session, kind: str, ids: Sequence[int], namespace: str, uuid: str) -> dict[int, int]:
    """Return the annotation of this order by object, for those objects that have one."""
    hql = (
        f"select l.parent.id, a.id from {kind}AnnotationLink l join l.child a join a.mapValue v "  # noqa: S608 (one of two names)
        "where l.parent.id in (:ids) and a.ns = :namespace and v.name = :key and v.value = :uuid"
    )
    rows = batches.ask(session, hql, ids, namespace=namespace, key=ORDER_KEY, uuid=uuid)
    return dict(rows)


def _post(session: Session, kind: str, identity: int, namespace: str, values: dict[str, str]) -> int:
    import ezomero  # noqa: PLC0415 (it brings numpy with it)

    with translated(f"annotating {kind} {identity}", session.where), _stdout, contextlib.redirect_stdout(io.StringIO()):
        # not across groups: after a failure that leaves the gateway in all groups at once, where nothing can be saved
        annotation = ezomero.post_map_annotation(session.gateway(), kind, identity, values, namespace, across_groups=False)
    if annotation is None:
        raise ImportInterrupted(path=f"{kind}:{identity}", words="it is not there any more")
    return int(annotation)
