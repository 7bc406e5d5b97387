# SPDX-License-Identifier: GPL-2.0-or-later
"""What converters left on this host of orders that ended elsewhere, or long ago, and who removes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from omero_adi_plugin.errors import OmeroDown
from omero_adi_plugin.service.deadline import Deadline
from omero_adi_plugin.service.janitor import LOOK_SECONDS, Janitor
from omero_adi_plugin.service.sweeper import Sweeper
from omero_adi_plugin.sessions import Account, Logins, OmeroSession
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.operating import retry
from tests.fixtures.converted import ConvertedOrder
from tests.fixtures.podman import Podman
from tests.fixtures.services import Tracking


class Meanwhile(Logins):
    """The real ones; something else happens whenever the service account is asked for."""

    happens: Callable[[], object]

    def service(self) -> OmeroSession:
        self.happens()
        return super().service()


class Site:
    """An order whose folder lies here still, and who looks after it."""

    def __init__(self, done: ConvertedOrder, tracking: Tracking, logins: Meanwhile) -> None:
        self.done, self.tracking, self.logins, self.deadline = done, tracking, logins, Deadline()
        self.given: dict[str, Any] = {"database": done.runs.database, "logins": logins, "deadline": self.deadline}
        self.janitor = Janitor(done.settings, **self.given)

    def ends(self, *, ago: str = "16 minutes") -> None:
        self.done.complete()
        self.tracking.sql(f"UPDATE adi_order SET finished_at = now() - interval '{ago}'")

    def look(self, *, seconds: float = LOOK_SECONDS) -> int:
        """Look after so many seconds."""
        self.janitor._looks_at -= seconds
        self.janitor._pauses = {uuid: (until - seconds, pause) for uuid, (until, pause) in self.janitor._pauses.items()}
        return self.janitor.look()

    @property
    def is_there(self) -> bool:
        return self.done.converted.temp.is_dir()


@pytest.fixture
def site(converted_order: ConvertedOrder, tracking: Tracking, omero_account: Account) -> Iterator[Site]:
    with Meanwhile(omero_account) as logins:
        logins.happens = lambda: None
        yield Site(converted_order, tracking, logins)


def test_what_an_order_has_left_here_goes_when_it_ended_long_ago(site: Site) -> None:
    site.ends()
    assert site.look() == 1
    assert not site.done.converted.home.exists()
    assert site.done.converted.targets() == [site.done.converted.kept / name for name in ("a.tif", "b/c.tif")]
    assert site.look() == 0


def test_a_worker_does_it_when_no_sweep_is_due(site: Site) -> None:
    site.ends()
    sweeper = Sweeper(site.done.settings, **site.given)
    assert sweeper.sweep_one()
    assert not site.is_there
    assert not sweeper.sweep_one()


def test_it_is_looked_now_and_then_only(site: Site) -> None:
    assert site.look() == 0
    site.ends()
    assert site.look(seconds=LOOK_SECONDS / 2) == 0
    assert site.look(seconds=LOOK_SECONDS / 2) == 1


def test_an_order_that_runs_or_has_just_ended_or_is_unknown_keeps_its_folder(site: Site) -> None:
    stranger = site.done.converted.home.with_name("of-another-database")
    stranger.mkdir()
    assert site.look() == 0
    site.ends(ago="1 minute")
    assert site.look() == 0
    assert site.is_there
    assert stranger.is_dir()


def test_a_sweep_that_is_due_comes_first(site: Site) -> None:
    Ledger(site.done.runs.database, site.done.claim.lease).suspect()
    site.ends()
    assert site.look() == 0
    assert site.is_there


def test_an_order_that_is_begun_again_meanwhile_keeps_its_folder(site: Site) -> None:
    def begin_again() -> None:
        retry(site.done.runs.database, site.done.uuid, who="ann@desk")
        Intake(site.done.runs.database, pending_days=10).take_in()

    site.ends()
    site.logins.happens = begin_again
    assert site.look() == 0
    assert site.is_there


def test_a_worker_that_is_to_end_begins_nothing(site: Site) -> None:
    site.ends()
    site.deadline.in_seconds(60)
    assert site.look() == 0
    assert site.is_there


def test_what_cannot_be_removed_is_tried_less_and_less_often(site: Site) -> None:
    (site.done.converted.kept / "a.tif").rename(site.done.converted.kept / "away.tif")
    site.ends()
    assert site.look() == 0
    (site.done.converted.kept / "away.tif").rename(site.done.converted.kept / "a.tif")
    sweep_seconds = site.done.settings.sweep_seconds
    assert site.look(seconds=sweep_seconds - LOOK_SECONDS) == 0
    assert site.is_there
    assert site.look(seconds=LOOK_SECONDS + 1) == 1


def test_without_omero_it_is_left_to_another_time(site: Site) -> None:
    def away() -> None:
        raise OmeroDown(where="h:4064", why="nobody answers")

    site.ends()
    site.logins.happens = away
    with pytest.raises(OmeroDown):
        site.look()
    site.logins.happens = lambda: None
    assert site.look() == 1


def test_where_the_files_are_away_the_sweep_waits_and_the_worker_does_not(site: Site) -> None:
    Ledger(site.done.runs.database, site.done.claim.lease).suspect()
    site.ends()
    site.tracking.sql("UPDATE adi_order SET unswept_since = unswept_since - interval '1 hour'")
    data, away = site.done.converted.root / "data", site.done.converted.root / "away"
    data.rename(away)
    sweeper = Sweeper(site.done.settings, **site.given)
    assert sweeper.sweep_one()
    assert site.tracking.sql("SELECT sweeps, unswept_since IS NULL FROM adi_order") == [(0, False)]
    away.rename(data)
    assert not sweeper.sweep_one()
    assert site.is_there


@pytest.mark.parametrize("end", ["interrupted", "in good order"])
def test_no_container_of_the_order_is_left_when_its_folders_go(end: str, site: Site, podman: Podman) -> None:
    allowed = {"containers": {"allow": ("localhost/*",)}, "podman_socket": podman.socket}
    sweeper = Sweeper(site.done.settings.model_copy(update=allowed), **site.given)
    labels = [f"--label=omero-adi.order={site.done.uuid}", "--label=omero-adi.owner=elsewhere:17"]
    image = podman.converter("sleep 1000")
    number = podman("run", "--detach", "--network=none", *labels, "--volume", f"{site.done.converted.temp}:/out", image)
    try:
        if end == "interrupted":
            Ledger(site.done.runs.database, site.done.claim.lease).suspect()
        site.ends()
        site.tracking.sql("UPDATE adi_order SET unswept_since = unswept_since - interval '1 hour'")
        assert sweeper.sweep_one()
        assert not site.is_there
        assert podman("ps", "--all", "--quiet", "--no-trunc", "--filter", f"id={number}") == ""
    finally:
        podman("rm", "--force", "--time=0", "--ignore", number)
