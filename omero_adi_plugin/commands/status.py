# SPDX-License-Identifier: GPL-2.0-or-later
"""Status: the subcommand that shows what is going on, on one screen: services and their workers, the queue, the pause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.using import database_of, settings_of
from omero_adi_plugin.tracking.queue import limits_of
from omero_adi_plugin.tracking.status import ENDED_HOURS, status

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator
    from datetime import datetime

    from omero_adi_plugin.tracking.status import QueueReport, RunningOrder, ServiceReport, Status, Worker

    Line = tuple[str, str | None, str | None, str | None, str]
    """Which process, for how long, whose order, which, and what it does."""


def run(args: Namespace) -> None:
    """Print what is going on."""
    settings = settings_of(args)
    with database_of(settings) as database:
        report = status(database, limits=limits_of(settings))
    if args.as_json:
        printing.as_json(report.as_json())
        return
    printing.table(("imports", _imports(report)), list(_facts(report)))
    lines = list(_lines(report))
    if lines:
        printing.line("")
        printing.table(("process", "for", "user", "order", "what it does"), lines, one_line=True)


def _imports(report: Status) -> str:
    pause = report.pause
    if pause is None:
        return "not paused"
    draining = ", and what runs is given back" if pause.draining else ""
    return f"paused for {_for(report, pause.since)} by {pause.by}{draining}; `omero adi resume` lets them go on"


def _facts(report: Status) -> Iterator[tuple[str, str]]:
    yield "services", _services(report)
    yield "waiting", _waiting(report, report.queue)
    lapsed = f", {report.queue.lapsed} of silent processes, to be taken over" if report.queue.lapsed else ""
    scripts = f", {report.queue.scripts} of them by scripts on Processors" if report.queue.scripts else ""
    yield "running", f"{report.queue.running}{scripts}{lapsed}"
    held = report.held_up
    if held.orders:
        yield "held up", f"{held.orders} orders of {held.users} users, which scripts could not carry out: {held.why}"
    yield "filesets", f"{report.places} of {report.places_allowed} may be in flight"
    yield f"last {ENDED_HOURS} hours", ", ".join(f"{amount} {state}" for state, amount in report.ended.items())


def _services(report: Status) -> str:
    at_work = [service for service in report.services if service.at_work]
    if not at_work:
        return "none is at work: start one with `omero adi serve`"
    workers = [worker for service in at_work for worker in service.workers]
    busy = sum(worker.order is not None for worker in workers)
    return f"{len(at_work)} at work, with {len(workers)} workers, {busy} of them busy"


def _waiting(report: Status, queue: QueueReport) -> str:
    words = []
    if queue.due and queue.oldest:
        words.append(f"{queue.due} due, the first for {_for(report, queue.oldest)}")
    if queue.held:
        words.append(f"{queue.held} of these held up by the limits of users and groups")
    if queue.later and queue.next_try:
        words.append(f"{queue.later} for another try, the next in {_duration((queue.next_try - report.time).total_seconds())}")
    if queue.inbox:
        words.append(f"{queue.inbox} not yet taken in")
    if queue.put_off:
        words.append(f"{queue.put_off} that could not be taken in, see `omero adi check`")
    return ", ".join(words) or "0"


def _lines(report: Status) -> Iterator[Line]:
    for service in report.services:
        yield f"{service.host}:{service.pid}", _for(report, service.started), None, None, _service(report, service)
        for worker in service.workers:
            yield _worker(report, worker)
    for order in report.others:
        yield _order(report, order, process=order.owner)


def _service(report: Status, service: ServiceReport) -> str:
    words = [f"service, version {service.version}"]
    if service.silent:
        words.append(f"silent for {_for(report, service.seen)}: it is probably dead")
    elif service.ending:
        words.append("ending")
    if service.trouble is not None and service.trouble_since is not None:
        words.append(f"in trouble for {_for(report, service.trouble_since)}: {service.trouble}")
    return "; ".join(words)


def _worker(report: Status, worker: Worker) -> Line:
    process = f"worker {worker.pid}"
    if worker.order is not None:
        return _order(report, worker.order, process=process)
    return process, None, None, None, "without work" if worker.trouble is None else f"in trouble: {worker.trouble}"


def _order(report: Status, order: RunningOrder, *, process: str) -> Line:
    words = [order.doing or "begins"]
    if order.attempt > 1:
        words.insert(0, f"attempt {order.attempt}")
    if order.cancelled_by is not None:
        words.insert(0, f"is being called off by {order.cancelled_by or 'somebody'}")
    if order.silent:
        words.insert(0, f"silent, its lease has lapsed {_for(report, order.until)} ago")
    since = None if order.since is None else _for(report, order.since)
    return process, since, order.user, order.uuid, "; ".join(words)


def _for(report: Status, since: datetime) -> str:
    return _duration((report.time - since).total_seconds())


_UNITS = ((86400, "days"), (3600, "h"), (60, "min"))


def _duration(seconds: float) -> str:
    """Return a time as people say it, in its greatest unit of which there are two."""
    for length, unit in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
