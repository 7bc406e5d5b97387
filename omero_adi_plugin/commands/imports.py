# SPDX-License-Identifier: GPL-2.0-or-later
"""Imports: the subcommand that orders an import, and carries it out, waits for it or leaves it to a service."""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from omero_adi_plugin import logs
from omero_adi_plugin.commands import plan, printing
from omero_adi_plugin.commands.asking import preprocessing_of
from omero_adi_plugin.commands.person import who
from omero_adi_plugin.commands.report import print_report
from omero_adi_plugin.commands.using import database_of, settings_of
from omero_adi_plugin.commands.waiting import raise_unless_completed, wait_for_end
from omero_adi_plugin.errors import AdiError, OrderFailed, TryAgain, UsageError
from omero_adi_plugin.orders import FileStep, Target
from omero_adi_plugin.pipeline.outcome import Cancelled, GaveWay
from omero_adi_plugin.pipeline.preflight import check_allowed
from omero_adi_plugin.service.attempt import account
from omero_adi_plugin.service.run import carry_out
from omero_adi_plugin.service.signature import owner
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.submit import order_of, submit_claimed, submit_order
from omero_adi_plugin.tracking.views import OrderStatus, order_status

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from omero_adi_plugin.orders import Claim
    from omero_adi_plugin.pipeline.progress import OnProgress
    from omero_adi_plugin.pipeline.progress import Progress as StepForward
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.contract import Preprocessing
    from omero_adi_plugin.tracking.database import Database


_NEVER_GIVES_WAY = {"yield_after_filesets": 2**31}
"""Whoever waits for orders of others waits for a worker of a service; leaving this process would give them none."""


def run(args: Namespace) -> None:
    """Order the import, and see to it as `--queue` or `--wait` say, or without them in this process.

    Raises
    ------
    ConverterNotAllowed
        It names a converter that may not run here; nothing was ordered.
    OrderFailed
        It was carried out, and failed, or was called off meanwhile.
    TryAgain
        It was carried out here, and is not finished: a service goes on with it.
    """
    if args.priority is not None and not (args.queue or args.wait):
        raise UsageError("--priority says when a service begins an order. Give --queue or --wait with it.")
    preprocessing = preprocessing_of(args)
    settings = settings_of(args)
    if preprocessing is not None:
        check_allowed(preprocessing.container, settings=settings)
    wanted = _wanted(args, settings, preprocessing)
    if args.dry_run:
        plan.show(settings, order_of(**wanted), skip_existing=args.skip_existing, as_json=args.as_json)
        return
    more = {"who": who(), "skip_existing": args.skip_existing}
    with database_of(settings) as database:
        if args.queue or args.wait:
            uuid = submit_order(database, **wanted, **more, priority=args.priority or 0)
            _leave(database, uuid, wait=args.wait, as_json=args.as_json)
        else:
            queue = Queue(database, lease_seconds=settings.lease_seconds)
            claim = submit_claimed(database, queue, **wanted, **more, owner=owner())
            _carry_out_here(settings, database, claim, entries=len(wanted["files"]), as_json=args.as_json)


def _wanted(args: Namespace, settings: Settings, preprocessing: Preprocessing | None) -> dict[str, Any]:
    """Return what is to be imported, for whom, as those that place orders take it."""
    target = Target.parse(args.into)
    files = [absolute(path) for path in args.paths]
    user = args.for_user or settings.omero_user
    group = args.in_group or default_group(settings, user=user)
    return {"user": user, "group": group, "target": target, "files": files, "preprocessing": preprocessing}


def _leave(database: Database, uuid: str, *, wait: bool, as_json: bool) -> None:
    """Leave an order to a service; say its uuid, or wait for its end."""
    if wait:
        printing.note(f"order {uuid}")
        report = wait_for_end(database, uuid, timeout_seconds=None)
        _tell(report, as_json=as_json)
        raise_unless_completed(report)
    elif as_json:
        printing.as_json({"uuid": uuid})
    else:
        printing.line(uuid)


def absolute(path: str) -> str:
    """Return a path as an order needs it: absolute; a last component that is a link stays one, `..` follows links.

    Raises
    ------
    UsageError
        It holds bytes that are no text in this encoding: the database cannot hold it.
    """
    given = Path(path).absolute()
    if ".." in given.parts:
        given = given.resolve() if given.name == ".." else given.parent.resolve() / given.name
    text = str(given)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise UsageError(f"The name {path!r} is not valid text, so no order can hold it. Rename the file.")
    return text


def default_group(settings: Settings, *, user: str) -> str:
    """Return the name of a user's default group, as OMERO has it.

    Raises
    ------
    UserUnknown, UserInactive, UserNeverLoggedIn
        OMERO has no such user, or none who could have images.
    OmeroDown
        OMERO does not answer.
    """
    with Logins(account(settings)) as logins:
        return logins.default_group(user)


def _carry_out_here(settings: Settings, database: Database, claim: Claim, *, entries: int, as_json: bool) -> None:
    """Carry out an order that was inserted already leased to this process, so that no service takes it."""
    _log(settings)
    uuid = claim.lease.order
    printing.note(f"order {uuid}")
    try:
        with shown_progress(entries) as on_progress:
            carry_out(settings.model_copy(update=_NEVER_GIVES_WAY), claim, on_progress=on_progress)
    except OrderFailed:
        _tell(order_status(database, uuid), as_json=as_json)
        raise
    except Cancelled as error:
        _tell(order_status(database, uuid), as_json=as_json)
        raise OrderFailed(str(error)) from error
    except GaveWay as error:
        raise TryAgain(f"{error} A service goes on with order {uuid} when imports go on.") from error
    except KeyboardInterrupt:
        with suppress(AdiError):  # it had just ended, or the database is gone: then the lease lapses
            queue = Queue(database, lease_seconds=settings.lease_seconds)
            queue.give_back(claim.lease, note="interrupted on the command line", after_seconds=0)
            printing.note(f"order {uuid} is not finished: a service goes on with it.")
        raise
    report = order_status(database, uuid)
    if report.description:  # as who waits for a service is told with the last stage
        printing.note(report.description)
    _tell(report, as_json=as_json)


def _log(settings: Settings) -> None:
    """Log to the application log; without one to nowhere, as the outcome is printed and a service's lines would hide it."""
    if settings.log_file_path:
        logs.set_up(settings)
        return
    package = logging.getLogger("omero_adi_plugin")
    package.handlers, package.propagate = [logging.NullHandler()], False


def _tell(report: OrderStatus, *, as_json: bool) -> None:
    if as_json:
        print_report(report, as_json=True)
    else:
        printing.line(f"order {report.uuid}  {report.stage}  {_amount(report)}")


def _amount(report: OrderStatus) -> str:
    files = [file for file in report.files or () if file.step is not FileStep.SKIPPED]  # its fileset is another order's
    counts = {
        "fileset": sum(file.fileset is not None for file in files),
        "image": sum(len(file.images) for file in files),
        "plate": sum(len(file.plates) for file in files),
    }
    words = [f"{count} {thing}{'' if count == 1 else 's'}" for thing, count in counts.items() if count]
    return ", ".join(words) or "nothing imported"


@contextmanager
def shown_progress(total: int) -> Iterator[OnProgress]:
    """Show progress on stderr meanwhile: a bar on a terminal, else one line for each thing that is begun with an entry.

    Parameters
    ----------
    total : int
        Entries of the order.
    """
    if not sys.stderr.isatty():
        yield _Lines().show
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def show(step: StepForward) -> None:
            words = printing.printable(f"{Path(step.entry).name}: {step.words}")
            bar.update(task, completed=step.done, total=step.total, description=words)

        yield show


class _Lines:
    """Tells each thing once; the pipeline does so about once a second, for hours if a file is large."""

    def __init__(self) -> None:
        self._told: dict[str, set[str]] = defaultdict(set)

    def show(self, step: StepForward) -> None:
        if step.words in self._told[step.entry]:
            return
        self._told[step.entry].add(step.words)
        if step.step in (FileStep.ANNOTATED, FileStep.FAILED):
            del self._told[step.entry]
        with suppress(OSError):  # whoever read along has gone: that is no reason to stop
            printing.note(f"{step.done}/{step.total} {step.entry}: {step.words}")
