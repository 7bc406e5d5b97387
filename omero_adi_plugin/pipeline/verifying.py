# SPDX-License-Identifier: GPL-2.0-or-later
"""Verifying: compares what the ledger says was imported with what OMERO and the managed repository hold now.

Nothing is changed. What a person did on purpose, moving images say, is told and is no fault.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import ConfigurationError, OrderFailed, OrderOpen
from omero_adi_plugin.importers.inspection import inspect, marked_of
from omero_adi_plugin.importers.ondisk import Condition, look_at
from omero_adi_plugin.importers.repository import ManagedRepository
from omero_adi_plugin.orders import Route, TargetKind
from omero_adi_plugin.pipeline.findings import Finding, Kind, carries, compared, finding, lost_its_marker, of_file
from omero_adi_plugin.pipeline.roots import Roots
from omero_adi_plugin.pipeline.tidying import temporary_paths
from omero_adi_plugin.tracking import inventory
from omero_adi_plugin.tracking.conversions import conversions_of
from omero_adi_plugin.tracking.ledger import stored_key
from omero_adi_plugin.tracking.views import order_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from omero_adi_plugin.importers.inspection import Inspected
    from omero_adi_plugin.orders import LedgerFile
    from omero_adi_plugin.sessions import Logins, OmeroSession
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.inventory import EndedOrder

    Line = tuple[EndedOrder, LedgerFile]


@dataclass(slots=True, kw_only=True)
class Verified:
    """What a verification came to.

    left_out: orders that are being carried out, or changed meanwhile.
    """

    orders: int = 0
    filesets: int = 0
    files: int = 0
    left_out: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """How many findings somebody has to see to."""
        return sum(finding.kind.wrong for finding in self.findings)


def verify(
    database: Database,
    logins: Logins,
    *,
    settings: Settings,
    uuid: str | None,
    on_progress: Callable[[int, int], None],
) -> Verified:
    """Compare with OMERO and the disk what all orders that have ended, or one of them, have imported.

    Parameters
    ----------
    database, logins : Database, Logins
        Where to ask.
    settings : Settings
        All of them.
    uuid : str or None
        Of the order; None: all.
    on_progress : callable
        Told how many filesets were looked at, and of how many.

    Raises
    ------
    OrderNotFound
        There is no such order.
    OrderOpen
        The order has not ended.
    ConfigurationError
        The managed repository is not to be seen on this host.
    StorageDown
        What imported files lie on is away: nobody can say.
    OmeroDown, ConnectionBroken, ServerTrouble, DatabaseDown
        OMERO or PostgreSQL does not answer.
    """
    if uuid is not None:
        order_summary(database, uuid)
    orders, left_out = inventory.ended_orders(database, uuid)
    if uuid is not None and left_out:
        raise OrderOpen(uuid=uuid)
    done = Verified(orders=len(orders), left_out=left_out)
    work = _Verification(database, logins, settings, done)
    total = inventory.count_filesets(database, orders)
    for (user, group), of_both in groupby(orders, key=lambda order: (order.user, order.group)):
        for amount in work.of_user(user, group, list(of_both)):
            done.filesets += amount
            on_progress(done.filesets, total)
    return done


class _Verification:
    """Collects findings in `done`."""

    def __init__(self, database: Database, logins: Logins, settings: Settings, done: Verified) -> None:
        self._database, self._logins, self._settings, self._done = database, logins, settings, done
        self._repository = _repository(logins.service())
        self._elsewhere: tuple[str, dict[str, int]] = "", {}
        self._made: tuple[str, dict[str, frozenset[str]]] = "", {}
        self._changed: set[str] = set()

    def of_user(self, user: str, group: str, orders: list[EndedOrder]) -> Iterator[int]:
        """Look at orders of one user in one group; give how many filesets were looked at, one page after the other."""
        with contextlib.ExitStack() as stack:
            try:
                session = stack.enter_context(self._logins.act_for(user, group))
            except OrderFailed as error:  # as who left the group: an administrator sees what is there all the same
                session = self._logins.service()
                words = f"The user cannot be acted for any more, so that none of these orders can be tried again. {error}"
                self._done.findings.append(Finding(kind=Kind.USER, user=user, words=words))
            for page in inventory.pages(self._database, orders):
                self._add(page, list(self._of_page(session, page)))
                yield len(page)

    def _of_page(self, session: OmeroSession, page: list[Line]) -> Iterator[tuple[Line, Finding]]:
        for kind in TargetKind:
            lines = [(order, line) for order, line in page if _kind(order) is kind]
            ids = {line.fileset for _, line in lines if line.fileset is not None}
            seen = inspect(session, ids, kind=kind, repository=self._repository) if ids else {}
            there: list[tuple[Line, Inspected]] = []
            unseen: list[Line] = []
            for order, line in lines:
                found = seen.get(line.fileset or 0)
                if found is not None and found.owner == order.user and carries(found, order, line):
                    there.append(((order, line), found))
                else:
                    unseen.append((order, line))
            for line_of, found in there:
                yield from ((line_of, each) for each in compared(*line_of, found))
            yield from self._on_disk(there)
            yield from self._unseen(unseen, kind)

    def _unseen(self, lines: list[Line], kind: TargetKind) -> Iterator[tuple[Line, Finding]]:
        """Say what has become of filesets that their user does not see with their marker: an administrator sees more."""
        if not lines:
            return
        service = self._logins.service()
        ids = {line.fileset for _, line in lines if line.fileset is not None}
        all_seen = inspect(service, ids, kind=kind, repository=self._repository)
        for order, line in lines:
            found = all_seen.get(line.fileset or 0)
            if found is not None and carries(found, order, line):
                words = f"It belongs to '{found.owner}' in the group '{found.group}' now, out of the reach of '{order.user}'."
                yield (order, line), finding(Kind.OUT_OF_SIGHT, order, line, words)
            elif (other := self._other_id(service, order, line)) is not None:
                words = f"It is Fileset {other} in OMERO, not {line.fileset}, as after a restore from a backup."
                yield (order, line), finding(Kind.OTHER_ID, order, line, words)
            elif found is not None and lost_its_marker(found, line, self._kept(order, line)):
                words = f"Somebody has deleted the comment that marks Fileset {line.fileset} as the order's."
                yield (order, line), finding(Kind.MARKER_MISSING, order, line, words)
            elif found is not None:
                words = f"Fileset {line.fileset} is something else now: OMERO was restored from an older backup."
                yield (order, line), finding(Kind.ID_TAKEN, order, line, words)
            else:
                words = f"Fileset {line.fileset} is not in OMERO any more: deleted, or OMERO was restored from an older backup."
                yield (order, line), finding(Kind.GONE, order, line, words)

    def _other_id(self, service: OmeroSession, order: EndedOrder, line: LedgerFile) -> int | None:
        """Return under which other id OMERO holds a fileset that was imported in place."""
        if line.route is not Route.INPLACE:  # those of OMERO's importer have all the same key
            return None
        if self._elsewhere[0] != order.uuid:
            self._elsewhere = order.uuid, marked_of(service, order.uuid)
        return self._elsewhere[1].get(line.key)

    def _kept(self, order: EndedOrder, line: LedgerFile) -> frozenset[str]:
        """Return where the files are kept that a converter has made of an entry; none without converter."""
        if line.output is None:
            return frozenset()
        if self._made[0] != order.uuid:
            made = (each for conversion in conversions_of(self._database, order.uuid) for each in conversion.filesets)
            self._made = order.uuid, {stored_key(each.key): frozenset(file.place for file in each.files) for each in made}
        return self._made[1].get(line.key, frozenset())

    def _on_disk(self, filesets: list[tuple[Line, Inspected]]) -> Iterator[tuple[Line, Finding]]:
        whose = [(line, file) for line, found in filesets for file in found.files]
        self._done.files += len(whose)
        for (line, _), look in zip(whose, look_at([file for _, file in whose]), strict=True):
            temporary = () if line[1].output is None else temporary_paths(line[0].uuid, self._settings)
            told = of_file(*line, look, temporary=temporary)
            if told is None:
                continue
            if look.condition is Condition.DANGLING and look.leads_to is not None:
                place = os.path.join(look.file.location.parent, look.leads_to)  # noqa: PTH118 (a link may be relative)
                Roots.of(self._settings, line[0].group).check_storage(os.path.realpath(place))
            yield line, told

    def _add(self, page: list[Line], found: list[tuple[Line, Finding]]) -> None:
        """Keep findings, but for those of orders that somebody has ordered again, or undone, since they were listed."""
        if not found:
            return
        as_it_was = inventory.unchanged(self._database, page)
        changed = {order.uuid for order, line in page if (order.uuid, line.key) not in as_it_was}
        self._done.left_out += len(changed - self._changed)
        self._changed |= changed
        self._done.findings += [each for (order, _), each in found if order.uuid not in changed]


def _repository(service: OmeroSession) -> ManagedRepository:
    """Return the managed repository, if it is to be seen here: else every link would seem to be missing."""
    repository = ManagedRepository.of(service)
    try:
        with os.scandir(repository.root):
            return repository
    except OSError as error:
        raise ConfigurationError(
            f"'{repository.root}', where OMERO keeps imported files, cannot be read on this host ({error.strerror}). "
            "Run this where the service runs, as the account that runs OMERO.server."
        ) from error


def _kind(order: EndedOrder) -> TargetKind:
    return TargetKind.DATASET if order.target is None else order.target.kind
