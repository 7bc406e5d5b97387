# SPDX-License-Identifier: GPL-2.0-or-later
"""Undoing: removes from OMERO what an order has imported, in whichever attempt and by whichever route; the sources stay.

Only filesets that carry the order's marker and belong to its user are touched, one after the other. What was removed is forgotten
in the ledger, so that the order, ordered again, imports it again. Cut off in between, it is simply done once more.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import AdiError, ImportInterrupted, OrderMalformed, OrderOpen, UsageError
from omero_adi_plugin.importers import batches
from omero_adi_plugin.importers.contents import client_paths, contents
from omero_adi_plugin.importers.inspection import inspect
from omero_adi_plugin.importers.markers import delete_fileset
from omero_adi_plugin.importers.official.stock import Stock
from omero_adi_plugin.importers.repository import ManagedRepository
from omero_adi_plugin.orders import MARKER_NAMESPACE, Target
from omero_adi_plugin.tracking import inventory
from omero_adi_plugin.tracking.views import order_summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.sessions import OmeroSession
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.views import OrderStatus

FORGET_BATCH = 25
"""How many filesets are forgotten together: a deletion costs much more than that."""

_IMPORTED = "openmicroscopy.org/omero/import/%"
"""Namespaces of what OMERO itself puts on images when it imports them."""

_ROIS = "select count(r.id) from Roi r where r.image.fileset.id in (:ids)"
_ADDED = (
    "select count(distinct a.id) from {kind}AnnotationLink l join l.parent o join l.child a where {where} "
    "and (a.ns is null or (a.ns not in (:own) and a.ns not like :imported))"
)
_ON_IMAGES = _ADDED.format(kind="Image", where="o.fileset.id in (:ids)")
_ON_PLATES = _ADDED.format(kind="Plate", where="o.id in (:ids)")
_IN_DATASETS = (
    "select count(distinct i.id) from DatasetImageLink l join l.child i where i.fileset.id in (:ids) and l.parent.id <> :target"
)
_IN_SCREENS = "select count(distinct l.child.id) from ScreenPlateLink l where l.child.id in (:ids) and l.parent.id <> :target"
_NO_ID = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much the removal of an order takes away.

    filesets:    ids of those that OMERO holds, whole and half.
    rois, annotations: what lies on their images and plates beside the order's own key-values, mostly added by people since.
    elsewhere:   images and plates that are also, or only, in other containers than the order's target.
    vanished:    filesets that the ledger knows and OMERO does not hold any more.
    out_of_sight: filesets that belong to somebody else now, or lie where the order's user does not see them; with whom and where.
    """

    filesets: tuple[int, ...]
    images: int
    plates: int
    files: int
    rois: int
    annotations: int
    elsewhere: int
    vanished: tuple[int, ...]
    out_of_sight: tuple[tuple[int, str], ...]

    @property
    def removable(self) -> bool:
        """Whether there is something to be done."""
        return bool(self.filesets or self.vanished)


@dataclass(slots=True, kw_only=True)
class Removal:
    """What a removal came to.

    refused: filesets that stay, with the reason.
    """

    removed: list[int] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)


class Undoing:
    """The removal of what one order has imported.

    Parameters
    ----------
    database : Database
        The tracking database.
    report : OrderStatus
        Where the order stands; see `check_ended`.
    session : OmeroSession
        Of the order's user in the order's group.
    service : OmeroSession
        Of the service account, which sees what the user does not.
    namespace : str
        Of the key-values.
    """

    def __init__(
        self, database: Database, report: OrderStatus, *, session: OmeroSession, service: OmeroSession, namespace: str
    ) -> None:
        self._database, self._report = database, report
        self._session, self._service, self._namespace = session, service, namespace
        self._target = target_of(report)

    def look(self) -> Extent:
        """Return what would be removed; nothing is changed.

        Raises
        ------
        ConnectionBroken, ServerTrouble, OmeroDown, DatabaseDown
            OMERO or PostgreSQL does not answer.
        """
        uuid = self._report.uuid
        stock = Stock.taken(self._session, uuid=uuid, target=self._target, statistics=False)
        ids = sorted(found.fileset for found in [*stock.complete(), *stock.halves(kept=())])
        inside = contents(self._session, ids)
        plates = sorted({plate for each in inside.values() for plate in each.plates})
        unknown = [fileset for fileset in inventory.known_filesets(self._database, uuid) if fileset not in set(ids)]
        out_of_sight = self._out_of_sight(unknown)
        hidden = {fileset for fileset, _ in out_of_sight}
        own = {"own": [MARKER_NAMESPACE, self._namespace], "imported": _IMPORTED}
        of_kind = {kind: self._target.id if self._target.kind == kind else _NO_ID for kind in ("Dataset", "Screen")}
        return Extent(
            filesets=tuple(ids),
            images=sum(len(each.images) for each in inside.values()),
            plates=len(plates),
            files=sum(len(paths) for paths in client_paths(self._session, ids).values()),
            rois=self._count(_ROIS, ids),
            annotations=self._count(_ON_IMAGES, ids, **own) + self._count(_ON_PLATES, plates, **own),
            elsewhere=self._count(_IN_DATASETS, ids, target=of_kind["Dataset"])
            + self._count(_IN_SCREENS, plates, target=of_kind["Screen"]),
            vanished=tuple(fileset for fileset in unknown if fileset not in hidden),
            out_of_sight=tuple(out_of_sight),
        )

    def remove(self, extent: Extent, *, who: str, on_progress: Callable[[int, int], None]) -> Removal:
        """Remove what was looked at, and note who did it.

        Parameters
        ----------
        who : str
            ``name@host`` of the person.
        on_progress : callable
            Told how many filesets are done, and of how many.

        Raises
        ------
        OrderOpen
            The order was ordered again meanwhile; what was removed by then is.
        ConnectionBroken, ServerTrouble, OmeroDown, DatabaseDown
            OMERO or PostgreSQL does not answer; the same.
        """
        done, gone = Removal(refused=list(extent.out_of_sight)), list[int]()
        try:
            for number, fileset in enumerate(extent.filesets):
                on_progress(number, len(extent.filesets))
                self._check_unchanged()
                if len(gone) >= FORGET_BATCH:
                    inventory.forget(self._database, self._report.uuid, gone)
                    gone.clear()
                try:
                    delete_fileset(self._session, fileset)
                except ImportInterrupted as error:
                    done.refused.append((fileset, error.words))
                else:
                    gone.append(fileset)
                    done.removed.append(fileset)
                    reached(Point.FILESET_UNDONE)
        except BaseException:
            with suppress(AdiError):
                inventory.forget(self._database, self._report.uuid, gone)
            raise
        on_progress(len(extent.filesets), len(extent.filesets))
        detail = f"filesets removed: {len(done.removed)}" + (f", left: {len(done.refused)}" if done.refused else "")
        inventory.forget_undone(self._database, self._report.uuid, [*gone, *extent.vanished], who=who, detail=detail)
        reached(Point.UNDO_WRITTEN)
        return done

    def _count(self, hql: str, ids: list[int], **values: object) -> int:
        return sum(amount for (amount,) in batches.ask(self._session, hql, ids, **values))

    def _out_of_sight(self, filesets: list[int]) -> list[tuple[int, str]]:
        """Return those that are still the order's, with where they are."""
        if not filesets:
            return []
        repository = ManagedRepository.of(self._service)
        found = inspect(self._service, filesets, kind=self._target.kind, repository=repository)
        return [
            (fileset, f"it belongs to '{there.owner}' in the group '{there.group}' now")
            for fileset, there in sorted(found.items())
            if any(marker.uuid == self._report.uuid for marker in there.markers)
        ]

    def _check_unchanged(self) -> None:
        """Return if nobody has ordered the order again: what a new attempt takes up must not be removed under its hands."""
        now = order_summary(self._database, self._report.uuid)
        if (now.state, now.attempt) != (self._report.state, self._report.attempt):
            raise OrderOpen(uuid=self._report.uuid)


def check_ended(report: OrderStatus) -> None:
    """Return if an order has ended.

    Raises
    ------
    OrderOpen
        It waits, or is being carried out.
    """
    if report.state is None or not report.state.ended:
        raise OrderOpen(uuid=report.uuid)


def target_of(report: OrderStatus) -> Target:
    """Return what an order was imported into.

    Raises
    ------
    OrderMalformed
        Nonsense, so that nothing can have been.
    """
    try:
        return Target.parse(report.target)
    except UsageError as error:
        raise OrderMalformed(
            column="destination_id", problem=f"'{report.target}' is no target, so nothing was imported"
        ) from error
