# SPDX-License-Identifier: GPL-2.0-or-later
"""Crash points: named places at which a process can be made to kill itself, so that tests see what is left and what comes of it.

Each lies before or after a write that somebody else can see: in OMERO, on a disk, in a table. In production this is one
comparison a place. The variable `ADI_CRASH_POINT` arms one of them for a process and its children, when it is set before they
start: `<point>:<file>`, or `<point>:<n>:<file>` for the n-th time that a process passes. Whoever comes by first makes the file
and dies by SIGKILL; when the file is there, nobody dies any more.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.logs import event

_log = logging.getLogger(__name__)

VARIABLE = "ADI_CRASH_POINT"
"""The variable that arms a point."""


class Point(StrEnum):
    """The places, by what has happened there just now, or (`…_due`) happens next."""

    # --- a session for the order's user

    SESSION_MADE = "session.made"
    """OMERO has made a session that nobody has joined."""
    SESSION_JOINED = "session.joined"
    """It was joined, and nothing was done in it."""
    SESSION_LEFT = "session.left"
    """Its client has logged out; the reference that the session counts itself was not given back."""
    SESSION_GIVEN_BACK = "session.given_back"
    """That was given back, too."""

    # --- one fileset in place

    FILESET_DUE = "inplace.fileset_due"
    """`importFileset` is to be called."""
    FILESET_MADE = "inplace.fileset_made"
    """OMERO has fileset, marker and files; nobody has noted that."""
    FILESET_NOTED = "inplace.fileset_noted"
    """The worker has noted it, and linked nothing."""
    MARK_WRITTEN = "links.mark_written"
    """The server has written a random mark where a file is to be."""
    MARK_REMOVED = "links.mark_removed"
    """The mark was removed, and no link is in its place."""
    LINK_PLACED = "links.link_placed"
    """The link is there; the server has the file open, and has neither size nor hash of it."""
    FILE_CLOSED = "links.file_closed"
    """The server has size and hash."""
    FILESET_LINKED = "inplace.fileset_linked"
    """All links are there; the ledger does not say that the server will be told."""
    VERIFY_DUE = "inplace.verify_due"
    """The ledger says that `verifyUpload` was called, and it was not."""
    VERIFY_CALLED = "inplace.verify_called"
    """The server imports; nobody waits for its response."""
    FILESET_IMPORTED = "inplace.fileset_imported"
    """The response was fetched, so that the server has cleared up; only OMERO knows that all is there."""

    # --- what is done in OMERO besides

    KEY_VALUES_DUE = "annotating.key_values_due"
    """Key-values of many filesets are to be saved."""
    KEY_VALUES_BEGUN = "annotating.key_values_begun"
    """Of a fileset with more images than go into a call, the first has its key-values."""
    KEY_VALUES_SAVED = "annotating.key_values_saved"
    """All have them; only OMERO knows that."""
    LINKING_DUE = "markers.linking_due"
    """What is not in its target any more is to be put there again."""
    LINKED_TO_TARGET = "markers.linked_to_target"
    """It was."""
    DELETION_DUE = "markers.deletion_due"
    """A fileset is to be deleted."""
    DELETED = "markers.deleted"
    """OMERO has deleted it; what it leaves on the disk is there."""
    LINKS_REMOVED = "repository.links_removed"
    """Links that OMERO had left are gone, its folders are there."""
    FOLDERS_REMOVED = "repository.folders_removed"
    """They are gone, too."""

    # --- with OMERO's own importer

    ANNOUNCE_DUE = "official.announce_due"
    """It is to be announced what this session will make."""
    ANNOUNCED = "official.announced"
    """It was, and nothing was begun."""
    IMPORTER_STARTED = "official.importer_started"
    """The importer's process is there."""
    REPORT_TAKEN_UP = "official.report_taken_up"
    """It has reported a fileset, and goes on with others."""
    IMPORTER_ENDED = "official.importer_ended"
    """It has ended; what it has made was not looked up."""
    RENAMING_DUE = "official.renaming_due"
    """Images are to get the names that the order gives them."""
    RENAMED = "official.renamed"
    """They have them; only OMERO knows that the fileset is there."""
    WITHDRAWAL_DUE = "official.withdrawal_due"
    """All is there; the announcement is to be deleted."""
    WITHDRAWN = "official.withdrawn"
    """It was deleted."""

    # --- a converter, and what it has made

    CONVERSION_DUE = "converter.due"
    """The folders for what a converter will make are there; there is no container."""
    CONTAINER_MADE = "converter.container_made"
    """A container is there, and does not run."""
    CONTAINER_STARTED = "converter.container_started"
    """It runs."""
    CONTAINER_ENDED = "converter.container_ended"
    """It has come to its end, and is still there."""
    CONTAINER_REMOVED = "converter.container_removed"
    """It is gone; nobody has looked at what it has made."""
    CONVERSION_WRITTEN = "converter.written"
    """The database says what was made, and where it is to be kept; nothing is there yet."""
    OUTPUT_COPIED = "converter.output_copied"
    """A file is on the disk where it is to be kept, under a name that nobody knows."""
    OUTPUT_DELIVERED = "converter.output_delivered"
    """A file is where it is to be kept."""
    DELIVERY_WRITTEN = "converter.delivery_written"
    """The database says that all of them are."""
    LINK_RENEWED = "converter.link_renewed"
    """A link that leads to where a file is kept lies beside the one that OMERO knows."""
    LINK_REPLACED = "converter.link_replaced"
    """It has taken its place."""
    TEMP_REMOVED = "converter.temp_removed"
    """The folder that a converter wrote to is gone; the order has not ended."""

    # --- an order in the tables

    ORDER_CLAIMED = "order.claimed"
    """A worker has the order, and has not read it."""
    PLACES_GIVEN = "order.places_given"
    """It has room for more filesets in flight."""
    LEASE_EXTENDED = "order.lease_extended"
    """Its lease was extended."""
    LOSS_WRITTEN = "order.loss_written"
    """Its session was lost; the queue says that OMERO is to be looked at once more, and no new session was made."""
    GONE_WRITTEN = "order.gone_written"
    """The ledger does not say any more that filesets are there which are gone, and are to be imported again."""
    PLAN_WRITTEN = "order.plan_written"
    """The ledger says of which filesets an entry consists."""
    SKIPPED_WRITTEN = "order.skipped_written"
    """It says that a file is left alone, because the target holds it."""
    ANNOTATED_WRITTEN = "order.annotated_written"
    """It says that filesets are in OMERO and have their key-values."""
    LEDGER_FLUSHED = "order.ledger_flushed"
    """It says all that there is to say of the order."""
    LEDGER_TIDIED = "order.ledger_tidied"
    """What earlier attempts had planned in vain was taken out of it."""
    OUTCOME_DUE = "order.outcome_due"
    """The attempt has ended, one way or another, and nobody knows how."""
    OUTCOME_WRITTEN = "order.outcome_written"
    """Queue and trail say how: completed, failed, called off or given back."""

    # --- an order that a script carries out

    LAUNCH_DUE = "launch.due"
    """A session for the order's user is there; the script is to be launched."""
    LAUNCHED = "launch.launched"
    """The script runs, and ends with whoever has launched it."""
    LET_GO_DUE = "launch.let_go_due"
    """The script has the order, and still ends with whoever has launched it."""
    LET_GO = "launch.let_go"
    """It runs on by itself."""
    HANDED_OVER = "script.handed_over"
    """The script has the order, and has not begun with it."""
    SCRIPT_DONE = "script.done"
    """It takes no further order; its session is still there."""

    # --- a service and its workers

    TABLES_READY = "service.tables_ready"
    """All migrations are done."""
    DATABASE_TAKEN_OVER = "service.database_taken_over"
    """What the former importer had left was settled, once and for all."""
    RECONCILED = "service.reconciled"
    """What no trigger told of is in the inbox."""
    TAKEN_IN = "service.taken_in"
    """What was in the inbox is in the queue."""
    LAPSED_FREED = "service.lapsed_freed"
    """Orders of silent workers wait again."""
    FORGOTTEN = "service.forgotten"
    """What ended long ago was taken out of the tables."""
    WORKER_HIRED = "service.worker_hired"
    """A worker process was started."""
    SERVICE_SHOWN = "service.shown"
    """The service has said that it is at work."""
    DEATH_REPORTED = "service.death_reported"
    """The order of a dead worker waits again."""
    WORKER_DONE = "service.worker_done"
    """A worker has found nothing left to do, and is to end."""
    FAREWELL_DUE = "service.farewell_due"
    """The service has ended its workers, and is to say that it has gone."""
    FAREWELL_SAID = "service.farewell_said"
    """It was said."""

    # --- what is done when an order has ended

    SWEEP_CLAIMED = "sweep.claimed"
    """A worker is to look what an interrupted order has left."""
    DOUBLES_LINKED = "sweep.doubles_linked"
    """What had others of the key-values that it has twice has those that stay, too."""
    DOUBLES_DELETED = "sweep.doubles_deleted"
    """Key-values are there once again."""
    STRAY_EMPTIED = "sweep.stray_emptied"
    """In a folder that OMERO knows nothing of there is nothing left."""
    STRAY_REMOVED = "sweep.stray_removed"
    """It is gone."""
    SWEEP_WRITTEN = "sweep.written"
    """The queue says that there is nothing to look for any more."""
    FILESET_UNDONE = "undo.fileset_undone"
    """A fileset of an order that is undone was removed; the ledger still has it."""
    UNDO_WRITTEN = "undo.written"
    """The ledger has nothing of it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """What the variable says.

    point:   where.
    passing: 1 if a process dies at its first passing there, 2 if at its second, …
    file:    that is made by whoever dies.
    """

    point: Point
    passing: int
    file: Path


_SET = os.environ.get(VARIABLE) or None
_passed: Counter[Point] = Counter()
_lock = threading.Lock()


def reached(point: Point) -> None:
    """End this process by SIGKILL if this point was armed before it started, and nobody has died there yet.

    Raises
    ------
    ConfigurationError
        The variable makes no sense.
    """
    if _SET is not None:
        _die_if_meant(point)


def armed() -> Trap | None:
    """Return what was armed before this process started; None: nothing.

    Raises
    ------
    ConfigurationError
        The variable makes no sense: a test with a misspelt point would prove nothing.
    """
    if _SET is None:
        return None
    name, _, rest = _SET.partition(":")
    passing, _, file = rest.partition(":") if not rest.startswith("/") else ("1", "", rest)
    try:
        trap = Trap(point=Point(name), passing=int(passing), file=Path(file))
    except ValueError as error:
        raise ConfigurationError(f"{VARIABLE} is for tests, and '{_SET}' is not <point>:<file> ({error}). Unset it.") from error
    if not trap.file.is_absolute() or not trap.file.parent.is_dir():
        raise ConfigurationError(f"{VARIABLE} is for tests, and '{file}' is no path in a folder that is there. Unset it.")
    return trap


def warn_if_armed() -> None:
    """Log a warning if this process, or a child of it, is going to kill itself; raises as `armed` does."""
    trap = armed()
    if trap is not None:
        event(_log, logging.WARNING, "crash.armed", point=trap.point, passing=trap.passing, file=trap.file)


def _die_if_meant(point: Point) -> None:
    trap = armed()
    if trap is None or point is not trap.point:
        return
    with _lock:  # until death: another thread that comes to the point meanwhile does not get beyond it
        _passed[point] += 1
        if _passed[point] < trap.passing:
            return
        try:
            number = os.open(trap.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:  # others have died of it
            return
        os.write(number, f"{os.getpid()}\n".encode())
        event(_log, logging.WARNING, "crash.point_reached", point=point)
        os.kill(os.getpid(), signal.SIGKILL)
