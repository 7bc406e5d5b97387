# SPDX-License-Identifier: GPL-2.0-or-later
"""Status: what is going on: who is at work and at what, what waits and for what, what has ended lately.

It is read in one transaction and by index, so that it can be asked often: what it costs grows with what is open, not with what
has been.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.stages import OrderState
from omero_adi_plugin.tracking.sql import statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

    from omero_adi_plugin.orders import Limits
    from omero_adi_plugin.tracking.database import Database

SILENT_SECONDS = 60
"""A service says every ten seconds that it is at work; after so long it is likely to be dead."""

ENDED_HOURS = 24
"""How far back it is counted what has ended."""

_SQL = statements("status.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningOrder:
    """An order that somebody carries out.

    since:        when this attempt began.
    owner, until: whose lease is on it, as `host:pid`, and its end.
    silent:       whether the lease has lapsed: it is about to be taken over.
    doing:        what its worker said last.
    cancelled_by: who has called it off, so that it is about to end; None: nobody.
    """

    uuid: str
    user: str
    attempt: int
    since: datetime | None
    owner: str
    until: datetime
    silent: bool
    doing: str | None
    cancelled_by: str | None

    def as_json(self) -> dict[str, Any]:
        """Return it as the command prints it."""
        return {
            "uuid": self.uuid,
            "user": self.user,
            "attempt": self.attempt,
            "since": iso(self.since),
            "lease": {"owner": self.owner, "until": iso(self.until)},
            "silent": self.silent,
            "doing": self.doing,
            "cancelled_by": self.cancelled_by,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker process of a service: with an order, in trouble, or without work."""

    pid: int
    trouble: str | None
    order: RunningOrder | None

    def as_json(self) -> dict[str, Any]:
        """Return it as the command prints it."""
        return {
            "pid": self.pid,
            "trouble": self.trouble,
            "order": None if self.order is None else self.order.as_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReport:
    """A service, as it described itself last.

    seen:    when it was last heard of.
    silent:  whether that is so long ago that it is likely to be dead.
    ending:  whether it begins nothing more, because it was told to end.
    trouble: why it begins nothing at the moment, and since when.
    """

    host: str
    pid: int
    version: str
    started: datetime
    seen: datetime
    silent: bool
    ending: bool
    trouble: str | None
    trouble_since: datetime | None
    workers: tuple[Worker, ...]

    @property
    def at_work(self) -> bool:
        """Whether it begins orders, as far as it is up to itself."""
        return not self.silent and not self.ending

    def as_json(self) -> dict[str, Any]:
        """Return it as the command prints it."""
        return {
            "host": self.host,
            "pid": self.pid,
            "version": self.version,
            "started": iso(self.started),
            "seen": iso(self.seen),
            "silent": self.silent,
            "ending": self.ending,
            "trouble": None if self.trouble is None else {"why": self.trouble, "since": iso(self.trouble_since)},
            "workers": [worker.as_json() for worker in self.workers],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueReport:
    """How many orders are open.

    due:      could be begun, the first of them since `oldest`.
    held:     of these, those whose user or group has as many orders running as are allowed.
    later:    have to wait for another try, the next of them until `next_try`.
    inbox:    were ordered and are not yet taken in.
    put_off:  could not be taken in, and are looked at again later.
    running:  are being carried out.
    scripts:  of these, those that scripts on OMERO's Processors have, or are launched for.
    lapsed:   were being carried out by somebody who is silent now, and are about to be taken over.
    """

    due: int
    oldest: datetime | None
    held: int
    later: int
    next_try: datetime | None
    inbox: int
    put_off: int
    running: int
    scripts: int
    lapsed: int

    def as_json(self) -> dict[str, Any]:
        """Return it as the command prints it."""
        return {
            "due": self.due,
            "oldest": iso(self.oldest),
            "held": self.held,
            "later": self.later,
            "next_try": iso(self.next_try),
            "inbox": self.inbox,
            "put_off": self.put_off,
            "running": self.running,
            "scripts": self.scripts,
            "lapsed": self.lapsed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldUpReport:
    """Orders that scripts on OMERO's Processors could not carry out, for reasons that are not theirs, and that wait for that.

    users: of how many users: for these no scripts are launched until then.
    why:   what was said of the last one.
    """

    orders: int
    users: int
    why: str | None

    def as_json(self) -> dict[str, Any]:
        """Return it as the command prints it."""
        return {"orders": self.orders, "users": self.users, "why": self.why}


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseReport:
    """The pause of all imports; draining: what was being carried out is given back, too."""

    since: datetime
    by: str
    draining: bool

    def as_json(self) -> dict[str, Any]:
        """Return it as the command prints it."""
        return {"since": iso(self.since), "by": self.by, "draining": self.draining}


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is going on.

    time:   by the clock of the database, as all times here.
    others: orders that processes of no listed service carry out, such as `omero adi import` on a command line.
    held_up: what scripts could not carry out.
    ended:  how many orders have ended in the last `ENDED_HOURS`, by how.
    places: filesets that may be in flight just now.
    """

    time: datetime
    services: tuple[ServiceReport, ...]
    others: tuple[RunningOrder, ...]
    queue: QueueReport
    held_up: HeldUpReport
    ended: Mapping[OrderState, int]
    places: int
    places_allowed: int
    pause: PauseReport | None

    def as_json(self) -> dict[str, Any]:
        """Return it as `status --json` prints it."""
        return {
            "time": iso(self.time),
            "services": [service.as_json() for service in self.services],
            "others": [order.as_json() for order in self.others],
            "queue": self.queue.as_json(),
            "held_up": self.held_up.as_json(),
            "ended": {"hours": ENDED_HOURS, **{state.value: amount for state, amount in self.ended.items()}},
            "filesets_in_flight": {"places": self.places, "allowed": self.places_allowed},
            "pause": None if self.pause is None else self.pause.as_json(),
        }


def status(database: Database, *, limits: Limits) -> Status:
    """Return what is going on.

    Parameters
    ----------
    database : Database
        With our tables.
    limits : Limits
        What all services together may do at the same time, as the settings here say.

    Raises
    ------
    DatabaseDown
        PostgreSQL is not there.
    """
    with database.begin() as connection:
        running = connection.execute(_SQL["running"]).all()
        orders = [_running(row) for row in running]
        services = _services(connection, orders)
        at_services = {worker.order.uuid for service in services for worker in service.workers if worker.order}
        return Status(
            time=connection.execute(_SQL["time"]).scalar_one(),
            services=services,
            others=tuple(order for order in orders if order.uuid not in at_services),
            queue=_queue(connection, running, limits),
            held_up=_held_up(connection),
            ended=_ended(connection),
            places=sum(row.places for row in running if not row.lapsed),
            places_allowed=limits.in_flight,
            pause=_pause(connection),
        )


def _running(row: Row[Any]) -> RunningOrder:
    return RunningOrder(
        uuid=row.uuid,
        user=row.user_name,
        attempt=row.attempt,
        since=row.started_at,
        owner=row.lease_owner,
        until=row.lease_until,
        silent=row.lapsed,
        doing=row.doing,
        cancelled_by=row.cancelled_by,
    )


def _services(connection: Connection, orders: Sequence[RunningOrder]) -> tuple[ServiceReport, ...]:
    """Return the services, each order with the worker that has it."""
    rows = connection.execute(_SQL["services"], {"silent_seconds": SILENT_SECONDS}).all()
    owned = {order.owner: order for order in orders}
    workers: dict[int, tuple[Worker, ...]] = {}
    # a process id may be that of a worker that died with its service: the service that lives comes first
    for number, row in sorted(enumerate(rows), key=lambda each: bool(each[1].silent)):
        workers[number] = tuple(_workers(row, owned))
    return tuple(_service(row, workers[number]) for number, row in enumerate(rows))


def _workers(row: Row[Any], owned: dict[str, RunningOrder]) -> Iterator[Worker]:
    for worker in row.workers:
        yield Worker(pid=worker["pid"], trouble=worker.get("trouble"), order=owned.pop(f"{row.host}:{worker['pid']}", None))


def _service(row: Row[Any], workers: tuple[Worker, ...]) -> ServiceReport:
    return ServiceReport(
        host=row.host,
        pid=row.pid,
        version=row.version,
        started=row.started_at,
        seen=row.seen_at,
        silent=row.silent,
        ending=row.ending,
        trouble=row.trouble,
        trouble_since=row.trouble_since,
        workers=workers,
    )


def _queue(connection: Connection, running: Sequence[Row[Any]], limits: Limits) -> QueueReport:
    waiting = connection.execute(_SQL["waiting"], {"per_user": limits.per_user, "per_group": limits.per_group}).one()
    inbox = connection.execute(_SQL["inbox"]).one()
    lapsed = sum(row.lapsed for row in running)
    return QueueReport(
        due=int(waiting.due),
        oldest=waiting.oldest,
        held=int(waiting.held),
        later=int(waiting.later),
        next_try=waiting.next_try,
        inbox=inbox.new,
        put_off=inbox.put_off,
        running=len(running) - lapsed,
        scripts=sum(row.in_script and not row.lapsed for row in running),
        lapsed=lapsed,
    )


def _held_up(connection: Connection) -> HeldUpReport:
    row = connection.execute(_SQL["held_up"]).one()
    return HeldUpReport(orders=row.orders, users=row.users, why=row.why)


def _ended(connection: Connection) -> dict[OrderState, int]:
    counts = {row.state: row.amount for row in connection.execute(_SQL["ended"], {"hours": ENDED_HOURS})}
    return {state: counts.get(state.value, 0) for state in OrderState if state.ended}


def _pause(connection: Connection) -> PauseReport | None:
    row = connection.execute(_SQL["pause"]).one_or_none()
    return None if row is None else PauseReport(since=row.paused_at, by=row.paused_by, draining=row.draining)


def iso(time: datetime | None) -> str | None:
    """Return a time as programs read it, in UTC."""
    return None if time is None else time.astimezone(UTC).isoformat()
