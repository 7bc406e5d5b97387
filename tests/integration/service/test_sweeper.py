# SPDX-License-Identifier: GPL-2.0-or-later
"""A worker looks once more what an interrupted order has left in OMERO: whatever is in the way, nothing is lost by it."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from omero_adi_plugin.errors import DatabaseDown, OmeroDown, ServerTrouble
from omero_adi_plugin.service import sweeper
from omero_adi_plugin.service.deadline import Deadline
from omero_adi_plugin.service.sweeper import MOST_TRIES, PAUSES, Sweeper
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.operating import retry
from tests.fixtures.late import import_late

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from omero_adi_plugin.sessions import Account, OmeroSession
    from tests.fixtures.runs import Runs
    from tests.fixtures.services import Tracking

PAUSE = PAUSES * 10  # surroundings_seconds


class Meanwhile(Logins):
    """The real ones; something else happens at each log-in for a user."""

    happens: Callable[[], object]

    def act_for(self, user: str, group: str) -> OmeroSession:
        self.happens()
        return super().act_for(user, group)


class Site:
    """An order that is to be looked at once more, with a file that was imported twice."""

    def __init__(self, runs: Runs, tracking: Tracking, logins: Meanwhile) -> None:
        self.runs, self.tracking, self.logins = runs, tracking, logins
        self.deadline = Deadline()
        self.claim = runs.order(runs.samples.image())
        runs.run(self.claim)
        Ledger(runs.database, self.claim.lease).suspect()
        runs.queue.complete(self.claim.lease)
        self.stays = set(runs.lab.images())
        import_late(runs.lab, order=self.uuid, path=self.claim.text.read().entries[0].path)
        self.time_passes()

    @property
    def uuid(self) -> str:
        return self.claim.lease.order

    def sweeper(self, **given: Any) -> Sweeper:
        known: dict[str, Any] = {"database": self.runs.database, "logins": self.logins, "deadline": self.deadline}
        return Sweeper(self.runs.settings, **(known | given))

    def time_passes(self, seconds: float = 900) -> None:  # sweep_seconds
        self.tracking.sql(f"UPDATE adi_order SET unswept_since = unswept_since - interval '{seconds} seconds'")

    def begin_again(self) -> None:
        retry(self.runs.database, self.uuid, who="ann@desk")
        Intake(self.runs.database, pending_days=10).take_in()
        assert self.runs.queue.claim(owner="me:1") is not None

    def is_swept(self) -> bool:
        return set(self.runs.lab.images()) == self.stays

    def left(self) -> tuple[bool, int]:
        """Whether it is to be looked still, and how many tries count by now."""
        [(unswept, sweeps)] = self.tracking.sql("SELECT unswept_since IS NOT NULL, sweeps FROM adi_order")
        return unswept, sweeps

    def is_due_in(self, seconds: float) -> bool:
        """Whether it is due at that time, and was not half a minute before."""
        query = "SELECT extract(epoch FROM unswept_since + interval '900 seconds' - now()) FROM adi_order"
        [(left,)] = self.tracking.sql(query)
        return seconds - 30 < float(left) <= seconds


@pytest.fixture
def site(runs: Runs, tracking: Tracking, omero_account: Account) -> Iterator[Site]:
    with Meanwhile(omero_account) as logins:
        logins.happens = lambda: None
        site = Site(runs, tracking, logins)
        assert not site.is_swept()
        yield site


def timers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)}


def raising(error: Exception) -> Callable[[], object]:
    def happens() -> None:
        raise error

    return happens


def test_what_was_imported_twice_is_removed_and_nobody_looks_again(site: Site) -> None:
    sweeper = site.sweeper()
    assert sweeper.sweep_one()
    assert (site.is_swept(), site.left()) == (True, (False, 0))
    assert not sweeper.sweep_one()


def test_an_order_that_is_begun_again_meanwhile_is_left_to_that_attempt(site: Site) -> None:
    site.logins.happens = site.begin_again
    assert site.sweeper().sweep_one()
    assert not site.is_swept()
    assert site.left()[0], "its next end is looked at, too"


def test_a_worker_whose_time_is_over_leaves_it_to_the_next_one(site: Site) -> None:
    site.logins.happens = lambda: site.deadline.in_seconds(0)
    assert site.sweeper().sweep_one()
    assert (site.is_swept(), site.left()) == (False, (True, 0))
    site.logins.happens = lambda: None
    assert site.sweeper(deadline=Deadline()).sweep_one()
    assert site.is_swept()


def test_a_worker_that_is_to_end_comes_to_the_end_of_it_if_there_is_time(site: Site) -> None:
    site.logins.happens = lambda: site.deadline.in_seconds(30)
    assert site.sweeper().sweep_one()
    assert site.is_swept()


@pytest.mark.parametrize(
    "gone", ["UPDATE imports SET user_name = 'nobody'", "UPDATE imports SET group_name = 'none'", "DELETE FROM imports"]
)
def test_for_a_user_or_a_group_that_is_gone_nobody_looks_again(gone: str, site: Site) -> None:
    site.tracking.sql(gone)
    assert site.sweeper().sweep_one()
    assert (site.is_swept(), site.left()) == (False, (False, 0))


@pytest.mark.parametrize("error", [OmeroDown(where="h:4064", why="?"), DatabaseDown(where="h:5432", why="?")])
def test_while_something_is_away_it_is_put_off_and_said(error: Exception, site: Site) -> None:
    site.logins.happens = raising(error)
    for _ in range(MOST_TRIES + 1):
        with pytest.raises(type(error)):
            site.sweeper().sweep_one()
        assert site.left() == (True, 0)
        assert site.is_due_in(PAUSE)
        site.time_passes(PAUSE)
    site.logins.happens = lambda: None
    assert site.sweeper().sweep_one()
    assert site.is_swept()


def test_what_an_administrator_has_to_put_right_is_waited_for(site: Site, omero_account: Account) -> None:
    with closing(Logins(replace(omero_account, password="wrong"))) as logins:
        for _ in range(2):
            assert site.sweeper(logins=logins).sweep_one()
            assert (site.left(), site.is_due_in(PAUSE)) == ((True, 0), True)
            site.time_passes(PAUSE)
    assert site.sweeper().sweep_one()
    assert site.is_swept()


@pytest.mark.parametrize("error", [ServerTrouble(doing="looking", words="?"), RuntimeError("a bug")])
def test_one_that_fails_each_time_is_tried_less_and_less_often_and_given_up_in_the_end(error: Exception, site: Site) -> None:
    site.logins.happens = raising(error)
    for tries in range(1, MOST_TRIES + 1):
        assert site.sweeper().sweep_one()
        assert site.left() == (True, tries)
        seconds = PAUSE * 2 ** (tries - 1)
        assert site.is_due_in(seconds)
        assert not site.sweeper().sweep_one()
        site.time_passes(seconds)
    site.logins.happens = lambda: None
    assert site.sweeper().sweep_one()
    assert (site.is_swept(), site.left()) == (False, (False, 0))


def test_one_over_which_each_worker_dies_is_given_up_in_the_end(site: Site) -> None:
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    site.logins.happens = die
    for _ in range(MOST_TRIES):
        with pytest.raises(Killed):
            site.sweeper().sweep_one()
        site.time_passes(600)  # the lease of a sweep
    assert site.sweeper().sweep_one()
    assert site.left() == (False, 0)


def test_one_whose_worker_dies_is_due_again_after_ten_leases(site: Site) -> None:
    due = []
    site.runs.settings = site.runs.settings.model_copy(update={"lease_seconds": 5})
    site.logins.happens = lambda: due.append(site.is_due_in(50))
    assert site.sweeper().sweep_one()
    assert due == [True]


def test_one_that_hangs_ends_its_process_at_last(site: Site) -> None:
    before = timers()
    stuck = threading.Event()
    site.runs.settings = site.runs.settings.model_copy(update={"no_progress_seconds": 0.01})
    site.logins.happens = lambda: stuck.wait(60)
    assert site.sweeper(on_stuck=stuck.set).sweep_one()
    assert stuck.is_set()
    ended = threading.Event()
    site.runs.settings = site.runs.settings.model_copy(update={"no_progress_seconds": 60})
    site.sweeper(on_stuck=ended.set).sweep_one()
    assert not ended.is_set()
    assert timers() <= before


def test_a_host_whose_clock_is_fast_takes_no_folder_that_is_just_being_filled_for_an_old_one(
    site: Site, managed_repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = site.runs.lab.session
    link = next(path for path in (managed_repository / f"{session.user}_{session.user_id}").rglob("*") if path.is_symlink())
    young = link.parent.with_name("of-an-import-that-begins")
    young.mkdir()
    fast = SimpleNamespace(time=lambda: time.time() + 3600)
    monkeypatch.setattr(sweeper, "time", fast)
    assert site.sweeper().sweep_one()
    assert set(site.runs.lab.images()) == site.stays
    assert young.is_dir()
