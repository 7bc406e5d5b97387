# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of a converter that runs when its service is killed or ended, its order called off, or its lease lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from omero_adi_plugin.tracking import losses
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.operating import cancel
from omero_adi_plugin.tracking.pausing import pause, resume
from tests.fixtures.converting import Workshop
from tests.fixtures.foundry import RANDOM, TWO, WAIT, Foundry, check_pixels, first_pixel, let_go
from tests.fixtures.waiting import wait_until

pytestmark = pytest.mark.usefixtures("without_java")

STAGES = ["Import Pending", "Import Started", "Import Preprocessing"]
DONE = [*STAGES, "Import Completed"]


@dataclass(frozen=True)
class Shop:
    """An order whose converter waits for a word, and who carries it out."""

    workshop: Workshop
    foundry: Foundry
    source: Path
    order: str
    database: Database

    @property
    def stages(self) -> list[str]:
        return self.workshop.tracking.stages(self.order)

    @property
    def queue(self) -> tuple[str, int]:
        """In which state the order is, and how often it has failed."""
        [found] = self.workshop.tracking.sql("SELECT state, failures FROM adi_order WHERE uuid = %s", self.order)
        return found

    @property
    def owner(self) -> str:
        """Whose order it is."""
        [(owner,)] = self.workshop.tracking.sql("SELECT lease_owner FROM adi_order WHERE uuid = %s", self.order)
        return str(owner)

    def runs(self, attempt: int = 1) -> str:
        """Wait until the converter runs; return the name of its container."""
        return self.foundry.waits(self.order, attempt)

    def completes(self, *, runs: int) -> None:
        """Let the converter go, wait for the order's end, and see that each output is there once and nothing else."""
        let_go(self.source)
        self.workshop.tracking.wait(self.order)
        assert self.stages[-1] == "Import Completed", self.workshop.tracking.description(self.order)
        assert self.workshop.names(self.order) == ["The first", "The second"]
        kept = self.source.parent / ".processed"
        assert sorted(path.name for path in kept.iterdir()) == ["one.ome.tif", "two.ome.tif"]
        for name in ("one.ome.tif", "two.ome.tif"):
            check_pixels(self.workshop.lab, self.order, f"{self.source}#{name}", kept / name)
        assert len(self.workshop.lab.markers()) == len(self.workshop.lab.images()) == 2
        assert len(self.foundry.runs(self.order)) == runs
        self.nothing_is_left()

    def nothing_is_left(self) -> None:
        assert self.workshop.left(self.source.parent) == []


@pytest.fixture
def shop(workshop: Workshop) -> Iterator[Shop]:
    workshop.services.configure(converter_timeout_seconds=600, poll_seconds=1)
    source = Path(workshop.samples.image("scan.ome.tif"))
    order = workshop.order(source, container=workshop.podman.converter(WAIT + TWO))
    with closing(Database(workshop.tracking.url, name="test")) as database:
        yield Shop(workshop, Foundry(workshop.podman, workshop.temp), source, order, database)
    let_go(source)  # when a test fails, nothing waits for it


def test_a_converter_of_a_service_that_is_killed_is_removed_by_the_next_which_goes_on(shop: Shop) -> None:
    service = shop.workshop.services.start()
    first = shop.runs()
    shop.workshop.services.kill(service)
    assert first in shop.foundry.containers()  # podman's, not a child of the service
    shop.workshop.services.start()
    shop.runs(attempt=2)
    assert first not in shop.foundry.containers()
    shop.completes(runs=2)


def test_a_service_that_is_asked_to_end_ends_its_converters_first_and_gives_their_orders_back(shop: Shop) -> None:
    service = shop.workshop.services.start(shutdown_timeout=1)
    shop.runs()
    assert shop.workshop.services.stop(service) == os.EX_OK
    assert shop.foundry.containers() == []
    assert shop.queue == ("waiting", 0)
    shop.nothing_is_left()
    shop.workshop.services.start()
    shop.completes(runs=2)
    assert shop.stages == [*STAGES, *DONE[1:]]


def test_a_converter_of_an_order_that_is_called_off_is_removed_at_once(shop: Shop) -> None:
    shop.workshop.services.start()
    first = shop.runs()
    cancel(shop.database, shop.order, who="somebody@host")
    shop.workshop.tracking.wait(shop.order)  # it has not come to its end by itself: nobody has let it go
    assert shop.queue == ("cancelled", 0)
    assert first not in shop.foundry.containers()
    shop.nothing_is_left()
    assert not (shop.source.parent / ".processed").exists()


def test_a_worker_that_learns_that_its_lease_is_lost_removes_its_converter(shop: Shop) -> None:
    shop.workshop.services.start()
    first = shop.runs()
    losses.bury(shop.database, owner=shop.owner, why="it was silent", counts=False)
    shop.workshop.tracking.sql("UPDATE adi_order SET run_after = 'infinity'")
    room = shop.foundry.temp / shop.order / "1-0"
    wait_until(lambda: not room.exists(), what="the end of the first attempt")
    assert first not in shop.foundry.containers()
    shop.workshop.tracking.sql("UPDATE adi_order SET run_after = now()")
    shop.runs(attempt=2)
    shop.completes(runs=2)


def test_a_converter_of_a_worker_that_was_frozen_makes_room_for_that_of_the_next_one(shop: Shop) -> None:
    shop.workshop.services.start()
    first = shop.runs()
    frozen = int(shop.owner.rpartition(":")[2])
    os.kill(frozen, signal.SIGSTOP)
    try:
        shop.workshop.tracking.sql("UPDATE adi_order SET lease_until = now()")
        shop.workshop.services.start()
        shop.runs(attempt=2)
        assert first not in shop.foundry.containers()
    finally:
        os.kill(frozen, signal.SIGCONT)
    shop.completes(runs=2)


def test_a_pause_that_drains_lets_converters_finish_whose_outputs_are_kept_for_later(shop: Shop) -> None:
    shop.workshop.services.start()
    first = shop.runs()
    pause(shop.database, who="somebody@host", drain=True)
    tracking, beat = shop.workshop.tracking, "SELECT lease_until FROM adi_order"
    before = tracking.sql(beat)
    wait_until(lambda: tracking.sql(beat) != before, what="the worker's hearing of it")
    assert shop.foundry.containers() == [first]
    let_go(shop.source)
    wait_until(lambda: shop.queue == ("waiting", 0), what="the order's being given back")
    assert shop.foundry.containers() == []
    resume(shop.database, who="somebody@host")
    shop.completes(runs=1)


def test_two_services_that_convert_to_the_same_names_at_the_same_time_keep_the_pixels_of_each(workshop: Workshop) -> None:
    source = Path(workshop.samples.image("scan.ome.tif"))
    image, foundry = workshop.podman.converter(WAIT + RANDOM), Foundry(workshop.podman, workshop.temp)
    for _ in range(2):
        workshop.services.start()
    orders = [workshop.order(source, container=image, parameters={"saveoption": first_pixel(source)}) for _ in range(2)]
    for order in orders:
        foundry.waits(order)
    let_go(source)
    workshop.tracking.wait(*orders)
    assert [workshop.tracking.stages(order)[-1] for order in orders] == ["Import Completed"] * 2
    kept = source.parent / ".processed"
    shown = set()
    for order in orders:
        assert workshop.names(order) == ["The first", "The second"]
        for name in ("one", "two"):
            key = f"{source}#{name}.ome.tif"
            hql = "select e.clientPath from FilesetEntry e join e.fileset f join f.annotationLinks l join l.child a"
            marked = f"where a.textValue = '{order} 1 {key}'"
            [(path,)] = workshop.lab.session.query(f"{hql} {marked}")
            assert Path(path).name in {f"{name}.ome.tif", f"{name}.{order[:8]}.ome.tif"}
            check_pixels(workshop.lab, order, key, kept / Path(path).name)
            shown.add(Path(path).name)
    assert {path.name for path in kept.iterdir()} == shown
    assert len({path.read_bytes() for path in kept.iterdir()}) == len(shown) == 4
    assert workshop.left(source.parent) == []
