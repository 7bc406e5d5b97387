# SPDX-License-Identifier: GPL-2.0-or-later
"""Three services share what ten users have ordered; the clock of one of them is ten minutes fast."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest

from omero_adi_plugin.sessions import Account, Logins
from omero_devserver.wire.moments import IMPORT_REGISTERED, Part, Passing, import_step
from tests.fixtures.clocks import FAST_SECONDS, fast_clock_in
from tests.fixtures.laboratory import Lab, furnished, make_group
from tests.fixtures.omero import ServerHere
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking
from tests.fixtures.waiting import wait_until

pytestmark = pytest.mark.usefixtures("without_java")

USERS, GROUPS = 10, 2
SMALL = int(os.environ.get("ADI_TEST_SHARED_ORDERS", "300")) // USERS - 1
"""Orders of each user beside a large one; most fail at once, for that costs less. 1,000 in all by hand."""

WITH_FILE = 10
"""One of so many small orders names a file that is there."""

LARGE = 6
"""Files of a large order: more than may be in flight."""

PER_USER, PER_GROUP, IN_FLIGHT = 1, 2, 4
"""The limits. Three workers want more of everything."""


@dataclass
class Large:
    """The largest numbers that were ever seen at the same time."""

    user: int = 0
    group: int = 0
    places: int = 0
    samples: int = 0

    def see(self, running: list[tuple[str, str, int]]) -> None:
        self.user = max([self.user, *Counter(user for user, _, _ in running).values()])
        self.group = max([self.group, *Counter(group for _, group, _ in running).values()])
        self.places = max(self.places, sum(places for _, _, places in running))
        self.samples += 1


@contextmanager
def watched(url: str) -> Iterator[Large]:
    """Look all the time at what runs, in one statement each time."""
    seen, stop = Large(), threading.Event()
    statement = "SELECT user_name, group_name, places FROM adi_order WHERE state = 'running'"

    def look() -> None:
        with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while not stop.wait(0.01):
                cursor.execute(statement)
                seen.see(cursor.fetchall())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


@dataclass
class Imports:
    """Filesets that the server has registered and not come to the end with; it can be kept from that."""

    server: ServerHere
    now: set[int | None] = field(default_factory=set)
    most: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.server.server.moments.at(IMPORT_REGISTERED, self._begun)
        self.server.server.moments.at(import_step(4, Part.AFTER), self._ended)  # the client has no answer yet
        self.go_on = self.server.server.moments.at(import_step(0, Part.BEFORE), Passing.wait)

    def _begun(self, passing: Passing) -> None:
        with self._lock:
            self.now.add(passing.fileset)
            self.most = max(self.most, len(self.now))

    def _ended(self, passing: Passing) -> None:
        with self._lock:
            self.now.remove(passing.fileset)


@pytest.fixture
def omero_account(server_here: ServerHere) -> Account:
    return server_here.account


@pytest.fixture
def labs(logins: Logins, omero_account: Account) -> Iterator[list[Lab]]:
    """Ten users; the first five are in one group, the others in another."""
    admin = logins.service().factory.getAdminService()
    groups = [make_group(admin) for _ in range(GROUPS)]
    with ExitStack() as stack:
        members = [group for group in groups for _ in range(USERS // GROUPS)]
        yield [stack.enter_context(furnished(logins, omero_account, group=group)) for group in members]


@pytest.fixture
def fast_clock(tmp_path: Path) -> str:
    """See `fast_clock_in`."""
    return fast_clock_in(tmp_path / "clock")


def ordered(tracking: Tracking, orders: list[tuple[Lab, list[str]]]) -> list[str]:
    """Order all of it in one transaction."""
    uuids = [str(uuid4()) for _ in orders]
    tracking.sql(
        "INSERT INTO imports (uuid, group_name, user_name, destination_id, files, destination_type, stage, timestamp)"
        " SELECT *, 'Dataset', 'Import Pending', now() FROM unnest(%s, %s, %s, %s, %s)",
        uuids,
        [lab.group for lab, _ in orders],
        [lab.user for lab, _ in orders],
        [str(lab.dataset) for lab, _ in orders],
        [json.dumps(files) for _, files in orders],
    )
    return uuids


def running(tracking: Tracking) -> int:
    [[count]] = tracking.sql("SELECT count(*) FROM adi_order WHERE state = 'running'")
    return int(count)


def listening(tracking: Tracking) -> int:
    """How many services and workers have found nothing to do."""
    statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'omero-adi bell'"
    [[count]] = tracking.sql(statement)
    return int(count)


def test_three_services_share_the_orders_of_ten_users_evenly_and_within_all_limits(
    labs: list[Lab],
    server_here: ServerHere,
    tracking: Tracking,
    services: Services,
    samples: Samples,
    fast_clock: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    imports = Imports(server_here)
    large = [(lab, [samples.image(f"{lab.user}-{n}.ome.tif", seed=n) for n in range(LARGE)]) for lab in labs]
    small = [(lab, small_order(samples, lab, number)) for lab in labs for number in range(SMALL)]
    limits = {
        "max_workers": 1,
        "max_orders_per_user": PER_USER,
        "max_orders_per_group": PER_GROUP,
        "max_filesets_in_flight": IN_FLIGHT,
        "parallel_filesets_per_worker": LARGE,
    }
    with watched(tracking.url) as seen:
        uuids = ordered(tracking, [large[0], *(order for order in small if order[0] is labs[0])])
        started = [services.start(**limits, log_file_path=services.folder / f"{number}.log") for number in range(2)]
        monkeypatch.setenv("PYTHONPATH", fast_clock)
        started.append(services.start(**limits, log_file_path=services.folder / "fast.log"))
        workers = len(started)
        wait_until(lambda: listening(tracking) == 2 * workers - 1, what="two workers that find nothing to do")
        assert running(tracking) == PER_USER, "one user has taken all there is"
        uuids += ordered(tracking, large[1 : USERS // GROUPS])
        wait_until(lambda: running(tracking) == PER_GROUP, what="a second order of the first group")
        wait_until(
            lambda: len(imports.now) == IN_FLIGHT - 1, what="all filesets that may be in flight but the one left to others"
        )
        uuids += ordered(tracking, [*large[USERS // GROUPS :], *(order for order in small if order[0] is not labs[0])])
        wait_until(lambda: len(imports.now) == IN_FLIGHT, what="an order of the other group")
        wait_until(lambda: (seen.user, seen.group, seen.places) == (PER_USER, PER_GROUP, IN_FLIGHT), what="a look at all of that")
        imports.go_on()
        tracking.wait(*uuids, seconds=60)
    assert (seen.user, seen.group, seen.places) == (PER_USER, PER_GROUP, IN_FLIGHT)
    assert imports.most == IN_FLIGHT
    check_turns(tracking, labs)
    check_shares(tracking, workers=workers, orders=len(uuids))
    check_each_file_once(tracking, labs, {file for lab, files in [*large, *small] for file in files})
    assert seconds_ahead(services.folder / "fast.log") > FAST_SECONDS / 2, "its clock was right"


def small_order(samples: Samples, lab: Lab, number: int) -> list[str]:
    """A file, one that is not there, or nothing at all, which fails before anybody asks OMERO."""
    name = f"{lab.user}-small-{number}.ome.tif"
    if number % WITH_FILE == 0:
        return [samples.image(name, seed=number)]
    return [str(samples.folder / name)] if number % 2 else []


def check_turns(tracking: Tracking, labs: list[Lab]) -> None:
    """While a user waits, every other user of the group has one turn: before the user's first order, and before each next one.

    One more is allowed, for a claim that was under way when the user began to wait.
    """
    rows = tracking.sql(
        "SELECT max(timestamp), user_name, 'waits' FROM imports WHERE stage = 'Import Pending' GROUP BY user_name"
        " UNION ALL SELECT timestamp, user_name, 'begins' FROM imports WHERE stage = 'Import Started'"
        " UNION ALL SELECT ended_at, user_name, 'ends' FROM adi_attempt JOIN adi_order USING (uuid) ORDER BY 1"
    )
    groups = {lab.user: lab.group for lab in labs}
    left = dict.fromkeys(groups, SMALL + 1)
    runs: set[str] = set()
    turns: dict[str, Counter[str]] = {}  # of the others, by the user who waits
    for _, user, what in rows:
        if what == "begins":
            turns.pop(user, None)
            runs.add(user)
            left[user] -= 1
            for counted in (counted for waits, counted in turns.items() if groups[waits] == groups[user]):
                counted[user] += 1
                assert counted[user] <= 2, "a user had a turn before others"
            continue
        if what == "ends":
            runs.remove(user)
        if left[user] and user not in runs:
            turns[user] = Counter()


def check_shares(tracking: Tracking, *, workers: int, orders: int) -> None:
    """Each order was carried out once, and each worker has done its part."""
    assert (
        tracking.sql("SELECT outcome, attempt FROM adi_attempt WHERE outcome NOT IN ('completed', 'failed') OR attempt > 1") == []
    )
    shares = [int(count) for (count,) in tracking.sql("SELECT count(*) FROM adi_attempt GROUP BY owner")]
    assert sum(shares) == orders
    assert len(shares) == workers
    assert min(shares) > orders / workers / 2, shares


def check_each_file_once(tracking: Tracking, labs: list[Lab], files: set[str]) -> None:
    there = {file for file in files if Path(file).exists()}
    assert len(there) == len(labs) * (LARGE + -(-SMALL // WITH_FILE))
    one_of_each_group = labs[:: USERS // GROUPS]
    assert Counter(file for lab in one_of_each_group for _, file in lab.markers().elements()) == Counter(there)
    assert sum(len(lab.images()) for lab in labs) == len(there)
    [[failed]] = tracking.sql("SELECT count(*) FROM imports WHERE stage = 'Import Failed'")
    assert failed == len(labs) * (SMALL - -(-SMALL // WITH_FILE))


def seconds_ahead(log: Path) -> float:
    """By how much the last line of a log is ahead of the clock here."""
    last = log.read_text().splitlines()[-1]
    time = datetime.fromisoformat(last.split()[0].removeprefix("timestamp="))
    return (time - datetime.now(time.tzinfo)).total_seconds()
