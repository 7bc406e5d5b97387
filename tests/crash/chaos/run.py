# SPDX-License-Identifier: GPL-2.0-or-later
"""Run: places the orders, deals the faults meanwhile, waits until all is quiet, and looks whether all is as promised."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg2

from omero_adi_plugin.sessions import Logins
from tests.crash.chaos.commands import People
from tests.crash.chaos.faults import Dealer, NoVictim
from tests.crash.chaos.findings import Finding, Promise
from tests.crash.chaos.holdings import holdings
from tests.crash.chaos.in_folders import check_kept, check_pixels_of
from tests.crash.chaos.in_logs import check_logs
from tests.crash.chaos.in_omero import check_disk, check_omero
from tests.crash.chaos.in_tables import check_nobody_there, check_tables, has_sweeps
from tests.crash.chaos.omero import IDLE_SECONDS, SYNC_SECONDS, Root
from tests.crash.chaos.orders import SCRIPTS, Desk
from tests.crash.chaos.plan import LARGEST_WAVE, OPERATIONS, Dispatch, Fault, Kind, Plan, Sort
from tests.crash.chaos.processes import Process, marked
from tests.crash.chaos.report import Result, Teller
from tests.crash.chaos.surroundings import Site, Size, site_of
from tests.fixtures.foundry import wants
from tests.fixtures.laboratory import Lab, furnished, make_group

USERS, GROUPS = 6, 3
SIZES = {Dispatch.LOCAL: Size(), Dispatch.GRID: Size(launching=2, hosts=2)}
TICK_SECONDS = 0.1
FEWEST_WAITING = 8
"""A new wave is placed when fewer orders wait: so there is always work, and no heap that outlasts the faults."""

RESERVE, FEW = 10, 3
"""Of so many orders one at least is kept back while faults are to be dealt, and placed by so many then: each finds work."""

MORE = 40
"""So many orders are placed besides the plan's at most, when these have ended and faults have found nothing to hit."""

STUCK_SECONDS = 150
"""When nothing has got on for so long, it is said what is stuck, and looked no further."""

LAST_SECONDS = 10
"""How long what belonged to a service may outlive it."""

BETWEEN_SECONDS = 0.4
"""The shortest time between two faults."""


@dataclass
class Progress:
    """Where the orders stand."""

    states: dict[str, int] = field(default_factory=dict)
    inbox: int = 0
    unswept: int = 0

    @property
    def ended(self) -> int:
        return sum(count for state, count in self.states.items() if state in {"completed", "failed", "cancelled"})

    @property
    def open(self) -> int:
        return self.states.get("waiting", 0) + self.states.get("running", 0) + self.inbox


class Run:
    """One run of a plan on a site."""

    def __init__(self, site: Site, plan: Plan, desk: Desk, people: People, teller: Teller) -> None:
        self._site, self._plan, self._desk, self._people, self._teller = site, plan, desk, people, teller
        self._dealer = Dealer(site)
        self._sorts, self._waves, self._faults = deque(plan.sorts), deque(plan.waves), deque(plan.faults)
        self._sweeps = has_sweeps(site.tracking)
        self._more = MORE
        self._dealt_at, self._moved_at, self._last = 0.0, time.monotonic(), Progress()

    @property
    def dealer(self) -> Dealer:
        return self._dealer

    def go(self) -> bool:
        """Do all of it; return whether everything has come to an end."""
        while True:
            self._site.look_after()
            missed = self._dealer.look()
            if missed is not None:  # some moments are rare, and few orders may be left: that of each import comes soon
                self._faults.append(replace(missed, moment=OPERATIONS[0]))
            now = self._turn()
            over = now is not None and self._is_over(now)
            if over or time.monotonic() - self._moved_at > STUCK_SECONDS:
                self._dealer.end()
                return over
            time.sleep(TICK_SECONDS)

    def _turn(self) -> Progress | None:
        """See where the orders stand, and do what is due; None if the database does not answer."""
        if not self._site.postgres_runs:
            return None
        try:
            now = self._progress()
            self._take_note(now)
            self._place(now)
            self._people.look()
            self._deal(now)
        except psycopg2.Error:
            return None
        return now

    def _progress(self) -> Progress:
        unswept = "(SELECT count(*) FROM adi_order WHERE unswept_since IS NOT NULL)" if self._sweeps else "0"
        rows = self._site.tracking.sql("SELECT state, count(*) FROM adi_order GROUP BY state")
        [[inbox, left]] = self._site.tracking.sql(f"SELECT (SELECT count(*) FROM adi_inbox), {unswept}")
        return Progress(dict(rows), inbox, left)

    def _take_note(self, now: Progress) -> None:
        if now != self._last:
            self._moved_at, self._last = time.monotonic(), now
        words = f"{len(self._desk.orders)} of {len(self._plan.sorts)} ordered, {now.ended} ended, {now.open} open"
        swept = f", {now.unswept} to be swept" if self._sweeps else ""
        self._teller.tell(f"{words}{swept}, {len(self._dealer.dealt)} of {len(self._plan.faults)} faults")

    def _place(self, now: Progress) -> None:
        for _ in range(min(self._wave(now), len(self._sorts))):
            self._desk.place(self._sorts.popleft())
        if self._wants_more and now.open < FEW:
            self._more -= 1
            self._desk.place(Sort.CONVERTED if self._faults and self._faults[0].kind is Kind.CONVERTER else Sort.FILES)

    @property
    def _wants_more(self) -> bool:
        """Whether all that was planned is ordered, and faults still want something to hit."""
        return bool(not self._sorts and self._more and (self._faults or self._dealer.waits))

    def _wave(self, now: Progress) -> int:
        """Say how many orders to place now; the last ones only as far as faults want something to hit."""
        spare = self._spare() if self._faults or self._dealer.waits else 0
        if self._sorts and len(self._sorts) <= spare:
            return FEW if now.open < FEW else 0
        if now.states.get("waiting", 0) + now.inbox >= FEWEST_WAITING:
            return 0
        return min(self._waves.popleft() if self._waves else LARGEST_WAVE, len(self._sorts) - spare)

    def _spare(self) -> int:
        """Say how many orders to keep back for the faults that are to come: two for each, but half of all at most."""
        count = len(self._plan.sorts)
        return max(count // RESERVE, min(2 * len(self._faults), count // 2))

    def _deal(self, now: Progress) -> None:
        if not self._faults or now.ended < self._faults[0].after or time.monotonic() - self._dealt_at < BETWEEN_SECONDS:
            return
        fault = self._faults.popleft()
        try:
            self._dealer.deal(fault)
        except NoVictim:
            self._faults.insert(min(1, len(self._faults)), fault)  # the next one first, perhaps
            return
        self._dealt_at = self._moved_at = time.monotonic()
        self._teller.tell(_told(fault), now=True)

    def _is_over(self, now: Progress) -> bool:
        placed = not self._sorts and now.ended == len(self._desk.orders) and not now.open and not now.unswept
        placed = placed and not self._wants_more
        return placed and not self._site.agenda and self._site.omero.runs and self._people.are_done


def _told(fault: Fault) -> str:
    return f"{fault.kind.value}{f' ({fault.moment})' if fault.moment else ''}"


def carry_out(plan: Plan, *, size: Size | None = None, keep: bool = False) -> tuple[Result, Path]:
    """Have a site, do all of the plan to it, and say what came of it; also where its logs are, if they were kept."""
    teller = Teller()
    with ExitStack() as stack:
        site = stack.enter_context(site_of(size or SIZES[plan.dispatch], keep=keep))
        labs = _labs(site)
        desk = Desk(site.tracking, site.data, labs, plan.seed, _wanted(site))
        people = People(site, desk)
        stack.callback(people.close)
        for service in site.services:
            service.start()
        teller.tell("the site is there", now=True)
        run = Run(site, plan, desk, people, teller)
        quiet = run.go()
        findings = list(_findings(site, desk, quiet=quiet))
        ends = "SELECT uuid, attempt FROM adi_attempt WHERE outcome IN ('completed', 'failed', 'cancelled')"
        ended = set(site.tracking.sql(ends))
        result = Result(
            orders=len(desk.orders),
            seed=plan.seed,
            dispatch=plan.dispatch,
            seconds=time.monotonic() - teller.began,
            dealt=run.dealer.dealt,
            cut_off={attempt for each in run.dealer.dealt for attempt in each.running} - ended,
            findings=findings,
        )
        if findings:
            site.keep()
        return result, site.folder


def _findings(site: Site, desk: Desk, *, quiet: bool) -> Iterator[Finding]:
    """Look at everything, first while the services rest, then when they have ended."""
    if not site.postgres_runs:
        site.cluster.start()
    yield from check_tables(desk.orders, site.tracking)
    if not quiet:
        yield Finding(Promise.LOST, "nothing has got on for too long")
    site.end_services()
    yield from (Finding(Promise.LEFTOVER, f"process {each.pid}: {each.command}") for each in _lasting(site))
    site.grid.end()
    yield from check_nobody_there(site.tracking)
    yield from (Finding(Promise.LEFTOVER, f"a temporary file: {place}") for place in site.temporary.iterdir())
    if not site.omero.runs:
        site.omero.start()
    site.omero.wait()
    yield from _sessions(site)
    with Logins(site.omero.account) as logins:
        held = holdings(logins.service())
        yield from check_pixels_of(desk.orders, held, logins)
    yield from check_omero(desk.orders, held)
    yield from check_disk(held, site.omero.repository)
    yield from check_kept(desk.orders)
    yield from (Finding(Promise.LEFTOVER, f"of a converter: {what}") for what in site.foundry.left(site.data))
    yield from _verified(site)
    yield from check_logs(site.folder)
    yield from (Finding(Promise.FAULT, trouble) for trouble in site.trouble)


def _lasting(site: Site) -> list[Process]:
    """What still runs some time after the services have ended: what was theirs sees that their pipes are closed, and ends.

    Scripts end by themselves when nothing is left to do.
    """
    until = time.monotonic() + LAST_SECONDS
    while (left := [*marked(site.name), *site.grid.left()]) and time.monotonic() < until:
        time.sleep(0.1)
    return left


def _verified(site: Site) -> Iterator[Finding]:
    """What `omero adi verify` says that is wrong: it must not say more than is found here."""
    done = site.command("verify")
    if done.returncode != os.EX_OK:
        yield Finding(Promise.FAULT, f"verify ends with {done.returncode}: {done.stdout}{done.stderr}")


def _sessions(site: Site) -> Iterator[Finding]:
    """What is open when the longest silence is over, and nobody is there any more, for nothing but that would end it."""
    with Root(site.omero) as root:
        until = time.monotonic() + 2 * (IDLE_SECONDS + SYNC_SECONDS)
        while (left := root.sessions(endless=True)) and time.monotonic() < until:
            time.sleep(0.2)
    yield from (Finding(Promise.LEFTOVER, f"session {session}") for session in left)


def _wanted(site: Site) -> dict[Sort, int]:
    """Have the converters that orders ask for; return the id of each one's preprocessing."""
    return {sort: wants(site.tracking, site.foundry.podman.converter(script)) for sort, script in SCRIPTS.items()}


def _labs(site: Site) -> list[Lab]:
    with Logins(site.omero.account) as logins:
        admin = logins.service().factory.getAdminService()
        groups = [make_group(admin) for _ in range(GROUPS)]
        return [lab for number in range(USERS) for lab in _lab(logins, site, groups[number % GROUPS])]


def _lab(logins: Logins, site: Site, group: str) -> Iterator[Lab]:
    with furnished(logins, site.omero.account, group=group) as lab:
        yield lab  # whose session ends with this: nothing else is wanted of it
