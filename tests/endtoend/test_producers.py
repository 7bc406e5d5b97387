# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that know nothing of us place orders and watch them: each gets its image, and sees its order go forward only."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest

from tests.fixtures.former import Former
from tests.fixtures.laboratory import Lab
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking
from tests.fixtures.waiting import wait_until

pytestmark = pytest.mark.usefixtures("without_java")

DATA = Path(__file__).parent.parent / "integration" / "former" / "data"
STARTED, END = "Import Started", "Import Completed"
NEWEST = "SELECT stage FROM imports WHERE uuid = %s ORDER BY timestamp DESC LIMIT 1"
RANKS = {"Import Pending": 0, "Import Started": 1, "Import Preprocessing": 2, "Import Completed": 3, "Import Failed": 3}
POLL_SECONDS = 0.02
"""Other programs look every 5 s; what they could see in between is to be seen here."""


class Watcher:
    """Does something over and over in a thread until the test is through with it; what went wrong fails the test."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.rounds = 0
        self._through = threading.Event()

    def look(self, cursor: psycopg2.extensions.cursor) -> None:
        raise NotImplementedError

    def _watch(self) -> None:
        with closing(psycopg2.connect(self.url, options="-c statement_timeout=20s -c lock_timeout=10s")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                while not self._through.wait(POLL_SECONDS):
                    self.look(cursor)
                    self.rounds += 1

    @contextmanager
    def watching(self) -> Iterator[None]:
        trouble: list[BaseException] = []

        def run() -> None:
            try:
                self._watch()
            except BaseException as error:  # noqa: BLE001 (raised again in the test's own thread)
                trouble.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            wait_until(lambda: self.rounds or trouble, what="the first look")
            yield
            before = self.rounds  # the round that is under way may have looked too early
            wait_until(lambda: self.rounds >= before + 2 or trouble, what="the last look")
        finally:
            self._through.set()
            thread.join()
        if trouble:
            raise trouble[0]


class Reader(Watcher):
    """Polls the newest row of every order, as the web plug-in and the scripts do."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.seen: defaultdict[str, list[str]] = defaultdict(list)

    def look(self, cursor: psycopg2.extensions.cursor) -> None:
        cursor.execute("SELECT DISTINCT uuid FROM imports")
        for (uuid,) in cursor.fetchall():
            cursor.execute(NEWEST, [uuid])
            [[stage]] = cursor.fetchall()
            if self.seen[uuid][-1:] != [stage]:
                self.seen[uuid].append(stage)


class Dashboard(Watcher):
    """Runs the three queries of the old README, as they stand there."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.queries = [
            query for query in DATA.joinpath("database-queries.txt").read_text(encoding="utf-8").split("\n\n") if query
        ]
        self.answers: list[list[dict[str, object]]] = []

    def look(self, cursor: psycopg2.extensions.cursor) -> None:
        answers = []
        for query in self.queries:
            cursor.execute(query)
            names = [column.name for column in cursor.description or ()]
            answers.append([dict(zip(names, row, strict=True)) for row in cursor.fetchall()])
        self.answers = answers
        cursor.execute("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'imports'::regclass")
        assert cursor.fetchall() == [(0,)]


@contextmanager
def standstill(url: str) -> Iterator[None]:
    """Let no worker get further than its first note in the ledger."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE adi_file IN SHARE MODE")
        yield


def placed_by_package(former: Former, lab: Lab, url: str, file: str) -> dict[str, object]:
    order: dict[str, object] = {
        "UUID": str(uuid4()),
        "Group": lab.group,
        "Username": lab.user,
        "DestinationID": str(lab.dataset),
        "DestinationType": "Dataset",
        "Files": [file],
    }
    former.place(url, order)
    return order


def place_by_readme(lab: Lab, url: str, file: str) -> None:
    """Run the README's example with this order in it, without its optional part: no converter is at hand."""
    example = DATA.joinpath("manual-insertion.txt").read_text(encoding="utf-8")
    optional, end = example.index("# Optional"), example.index("session.add(order)")
    program = example[:optional] + example[end:]
    for old, new in {
        "from omero_adi.utils.ingest_tracker import": "import uuid\nfrom omero_adi_plugin import",
        '"postgresql://user:password@host:port/database"': repr(url),
        '"Demo"': repr(lab.group),
        '"researcher"': repr(lab.user),
        '"151"': repr(str(lab.dataset)),
        '["/data/group/image1.tif", "/data/group/image2.tif"]': repr([file]),
    }.items():
        assert program.count(old) == 1, old
        program = program.replace(old, new)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_orders_of_all_producers_get_their_images_and_readers_see_each_go_forward_only(
    former_releases: Mapping[str, Former], lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    files: dict[str, str] = {}

    def file(producer: str) -> str:
        files[producer] = samples.image(f"{producer}.ome.tif", seed=len(files))
        return files[producer]

    reader, dashboard = Reader(tracking.url), Dashboard(tracking.url)
    with reader.watching(), dashboard.watching():
        for name, former in former_releases.items():
            placed_by_package(former, lab, tracking.url, file(name))
        place_by_readme(lab, tracking.url, file("readme"))
        tracking.order(lab, file("sql"))
        without_time = tracking.order(lab, file("without-time"))
        tracking.sql("UPDATE imports SET timestamp = NULL WHERE uuid = %s", without_time)
        ahead = tracking.order(lab, file("ahead"))
        tracking.sql("UPDATE imports SET timestamp = now() + interval '1 hour' WHERE uuid = %s", ahead)
        bad = tracking.order(lab, str(samples.folder / "none.tif"))
        orders = {uuid for (uuid,) in tracking.sql("SELECT uuid FROM imports")}
        wait_until(lambda: set(reader.seen) == orders, what="a first look at each order")
        with standstill(tracking.url):
            services.start()
            wait_until(lambda: sum(STARTED in seen for seen in reader.seen.values()) >= 2, what="a look at what both workers do")
        tracking.wait(*orders)

    good = orders - {bad}
    imported = {path: uuid for uuid, path in tracking.sql("SELECT uuid, files::json ->> 0 FROM imports WHERE stage = %s", END)}
    assert imported.keys() == set(files.values())
    assert set(imported.values()) == good
    assert all(len(lab.images_with(uuid)) == 1 for uuid in good)
    assert len(lab.images()) == len(good)
    for uuid, seen in reader.seen.items():
        ranks = [RANKS[stage] for stage in seen]
        assert ranks == sorted(set(ranks)), seen
        assert (seen[0], seen[-1]) == ("Import Pending", "Import Failed" if uuid == bad else END)
    recent, pending, preprocessing = dashboard.answers
    assert len(recent) == 10
    assert {row["uuid"] for row in pending} == orders  # every order that there ever was: docs/queries.md has the right query
    assert preprocessing == []


def test_an_order_submitted_again_for_lack_of_news_while_it_still_runs_is_imported_once(
    former_releases: Mapping[str, Former], lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    former, file = former_releases["biomero_importer"], samples.image()
    services.start(max_workers=1)
    with standstill(tracking.url):
        order = placed_by_package(former, lab, tracking.url, file)
        uuid = str(order["UUID"])
        wait_until(lambda: tracking.stages(uuid)[-1] == STARTED, what="the first run")
        former.place(tracking.url, order)
        assert tracking.sql("SELECT state, attempt FROM adi_order") == [("running", 1)]
    wait_until(lambda: tracking.stages(uuid).count(END) == 2, what="the end of both runs")
    tracking.wait(uuid)
    assert tracking.sql("SELECT state, attempt FROM adi_order") == [("completed", 2)]
    assert len(lab.images()) == 1
    assert lab.images_with(uuid) == lab.images()
    assert lab.markers() == {(uuid, file): 1}
