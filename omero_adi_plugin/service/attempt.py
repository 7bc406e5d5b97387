# SPDX-License-Identifier: GPL-2.0-or-later
"""Attempt: one claimed order, with a session for its user, through the pipeline to its outcome."""

from __future__ import annotations

import functools
import itertools
import logging
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.converters import Converters
from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import LeaseLost
from omero_adi_plugin.importers.inplace import InPlace
from omero_adi_plugin.importers.protocol import Skip
from omero_adi_plugin.importers.reading.choose import open_reader
from omero_adi_plugin.logs import event, order_logs
from omero_adi_plugin.orders import SAFE_UUID, Route
from omero_adi_plugin.pipeline.means import Means
from omero_adi_plugin.pipeline.official import OfficialRun
from omero_adi_plugin.pipeline.outcome import settle
from omero_adi_plugin.pipeline.resume import SETTLED
from omero_adi_plugin.pipeline.run import OrderRun
from omero_adi_plugin.service.deadline import Deadline
from omero_adi_plugin.service.keeper import LeaseKeeper
from omero_adi_plugin.service.replacing import in_sessions
from omero_adi_plugin.sessions import Account
from omero_adi_plugin.tracking.conversions import Conversions
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.queue import Queue, limits_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_adi_plugin.importers.plans import FileReader
    from omero_adi_plugin.orders import Claim, Order
    from omero_adi_plugin.pipeline.progress import Guard, OnProgress, Progress
    from omero_adi_plugin.service.replacing import Sessions
    from omero_adi_plugin.sessions import OmeroSession
    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)


def account(settings: Settings) -> Account:
    """Return the service account that the settings name."""
    return Account(
        host=settings.omero_host,
        port=settings.omero_port,
        user=settings.omero_user,
        password=settings.omero_password.get_secret_value(),
    )


def reader_of(settings: Settings) -> FileReader:
    """Return what reads files as the settings say; it starts with the first file, and is to be closed."""
    return open_reader(
        bioformats_jar=settings.bioformats_jar,
        heap_mb=settings.reader_heap_mb,
        patience_seconds=settings.reader_patience_seconds,
    )


class Attempts:
    """What one process needs to carry out orders, one after the other: its database connection and a reader of files.

    Parameters
    ----------
    settings : Settings
        All of them.
    sessions : Sessions
        Where sessions for the orders' users come from; closed by whoever gave it.
    in_script : bool
        Whether this process is a script on one of OMERO's Processors.
    deadline : Deadline
        When an order that is being carried out must be given back.
    on_stuck : callable, optional
        See `LeaseKeeper`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        sessions: Sessions,
        in_script: bool = False,
        deadline: Deadline | None = None,
        on_stuck: Callable[[], None] | None = None,
    ) -> None:
        self._settings, self._sessions, self._in_script, self._on_stuck = settings, sessions, in_script, on_stuck
        self._deadline = deadline or Deadline()
        self.database = Database(settings.ingest_tracking_db.get_secret_value(), name="adi worker")
        self.queue = Queue(self.database, lease_seconds=settings.lease_seconds, limits=limits_of(settings), in_script=in_script)
        self._reader = reader_of(settings)
        self._converters = Converters(settings)

    def carry_out(self, claim: Claim, *, on_progress: OnProgress | None = None) -> Exception | None:
        """Carry one order out and write its outcome.

        Returns
        -------
        Exception or None
            What ended the attempt, already written to queue and stage rows; None if the order is completed.

        Raises
        ------
        SurroundingsDown
            The outcome could not be written: the lease will lapse, and the order be taken over.
        """
        uuid = claim.lease.order
        with order_logs(self._settings, uuid=uuid if SAFE_UUID.fullmatch(uuid) else "malformed"):
            reached(Point.ORDER_CLAIMED)
            event(_log, logging.INFO, "order.started", order=uuid, attempt=claim.lease.attempt, user=claim.text.user)
            error, report = self._carried_out(claim, on_progress or _nobody)
            reached(Point.OUTCOME_DUE)
            try:
                settle(self.queue, claim, error, report=report, settings=self._settings, alone=self._in_script)
                reached(Point.OUTCOME_WRITTEN)
            except LeaseLost as lost:
                event(_log, logging.WARNING, "order.lost", order=uuid, attempt=claim.lease.attempt, why=str(error or lost))
                return lost
        return error

    def close(self) -> None:
        """Give connections back, and end the reader."""
        self._reader.close()
        self._converters.close()
        self.database.close()

    def _carried_out(self, claim: Claim, on_progress: OnProgress) -> tuple[Exception | None, str | None]:
        """Return what ended the attempt, if anything did, and what there is to say if nothing did."""
        try:
            keeper = LeaseKeeper(
                claim, queue=self.queue, settings=self._settings, deadline=self._deadline, on_stuck=self._on_stuck
            )

            def tell(progress: Progress) -> None:
                keeper.note(progress)
                on_progress(progress)

            with keeper as guard:
                order, ledger = claim.text.read(), Ledger(self.database, claim.lease)
                if order.preprocessing is not None:
                    Conversions(self.database, claim.lease).announce()
                sessions = itertools.count(1)

                def work(session: OmeroSession) -> str | None:
                    resumed = claim.lease.attempt > 1 or next(sessions) > 1
                    return self._run(claim, order, session, ledger, guard, tell, resumed=resumed).run()

                report = in_sessions(
                    self._sessions,
                    order,
                    work,
                    guard=guard,
                    settled=lambda: sum(line.step in SETTLED for line in ledger.files()),
                    on_lost=ledger.suspect,
                )
                return None, report
        except Exception as error:  # noqa: BLE001 (whatever it is, the order gets an outcome: `settle` tells bugs apart)
            return error, None

    def _run(
        self,
        claim: Claim,
        order: Order,
        session: OmeroSession,
        ledger: Ledger,
        guard: Guard,
        on_progress: OnProgress,
        *,
        resumed: bool,
    ) -> OrderRun | OfficialRun:
        settings = self._settings
        official = settings.importer == "omero" or (
            claim.lease.attempt > 1 and any(line.route is Route.OMERO for line in ledger.files())  # it goes on as it was begun
        )
        run: Callable[..., OrderRun | OfficialRun] = OfficialRun
        if not official:
            importer = InPlace(
                session,
                skip=Skip.of(settings),
                patience_seconds=settings.import_patience_seconds,
                parallel_files=settings.parallel_upload_per_worker,
                bioformats=self._reader.version,
            )
            run = functools.partial(OrderRun, importer=importer)
        return run(
            order,
            attempt=claim.lease.attempt,
            session=session,
            reader=self._reader,
            ledger=ledger,
            guard=guard,
            settings=settings,
            skip_existing=claim.skip_existing or settings.skip_existing,
            again=claim.again,
            resumed=resumed,
            on_progress=on_progress,
            means=None if order.preprocessing is None else self._means(claim),
        )

    def _means(self, claim: Claim) -> Means:
        return Means(
            converters=self._converters,
            conversions=Conversions(self.database, claim.lease),
            attempt=claim.lease.attempt,
            owner=claim.lease.owner,
        )


def _nobody(progress: Progress) -> None:
    del progress
