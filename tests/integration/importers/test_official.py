# SPDX-License-Identifier: GPL-2.0-or-later
"""An order carried out by OMERO's own importer; a stand-in for it, on a real ledger and a development server."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import tifffile
from omero.model import CommentAnnotationI, ImageI
from omero.rtypes import rstring

from omero_adi_plugin.errors import (
    ConfigurationError,
    ConnectionBroken,
    ImportInterrupted,
    LeaseLost,
    ServerTrouble,
    TargetMissing,
)
from omero_adi_plugin.importers import handles
from omero_adi_plugin.importers.official import holdings as holdings_module
from omero_adi_plugin.importers.official.holdings import ALL, announce, holdings, made_here, withdraw
from omero_adi_plugin.importers.official.importer import OfficialImporter
from omero_adi_plugin.importers.plans import AdmittedFile, Reading
from omero_adi_plugin.importers.protocol import Skip
from omero_adi_plugin.importers.reading.tiff import TiffReader
from omero_adi_plugin.logs import order_logs, set_up
from omero_adi_plugin.orders import MARKER_NAMESPACE, Claim, LedgerFile, Marker, Target, TargetKind
from omero_adi_plugin.pipeline.failures import EntriesFailed
from omero_adi_plugin.pipeline.official import OfficialRun
from omero_adi_plugin.pipeline.outcome import Cancelled, GaveWay
from omero_adi_plugin.pipeline.sweeping import sweep_late
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.ledger import Ledger
from omero_adi_plugin.tracking.queue import Queue
from omero_adi_plugin.tracking.submit import submit_claimed
from tests.fixtures.filesets import delete, made
from tests.fixtures.guards import Guard
from tests.fixtures.importing import planned
from tests.fixtures.laboratory import Lab
from tests.fixtures.official import StandIn
from tests.fixtures.samples import Samples


class Reader:
    """Sees sets and plates where the test has put them, TIFFs elsewhere."""

    def __init__(self) -> None:
        self.version = None
        self.sets: dict[str, tuple[str, ...]] = {}
        self.plates: dict[str, int] = {}
        self.meanwhile: Callable[[], None] = lambda: None
        self._tiff = TiffReader("this is a test")

    def read_ahead(self, files: Sequence[AdmittedFile]) -> None:
        pass

    def read(self, file: AdmittedFile) -> Reading:
        self.meanwhile()
        used = self.sets.get(file.path, (file.path,))
        if file.path.endswith(".fake"):
            return Reading(used=used, reader="loci.formats.in.FakeReader", format="Fake", images=2, plates=self.plates[file.path])
        reading = self._tiff.read(file)
        return Reading(used=used, reader=reading.reader, format=reading.format, images=reading.images, plates=0)


class Ordering:
    """Orders of the lab's user, each carried out as often as the test likes."""

    def __init__(self, lab: Lab, database: Database, queue: Queue, settings: Settings) -> None:
        self.lab, self.database, self.queue, self.settings = lab, database, queue, settings
        self.guard, self.reader = Guard(), Reader()
        self.target = Target(kind=TargetKind.DATASET, id=lab.dataset)

    def order(self, *files: str, names: tuple[str, ...] = ()) -> Claim:
        return submit_claimed(
            self.database,
            self.queue,
            user=self.lab.user,
            group=self.lab.group,
            target=self.target,
            files=list(files),
            file_names=names,
            owner="me:1",
        )

    def run(self, claim: Claim, *, skip_existing: bool = False, **settings: Any) -> str | None:
        return OfficialRun(
            claim.text.read(),
            attempt=claim.lease.attempt,
            session=self.lab.session,
            reader=self.reader,
            ledger=Ledger(self.database, claim.lease),
            guard=self.guard,
            settings=self.settings.model_copy(update=settings),
            skip_existing=skip_existing,
            again=False,
            resumed=claim.lease.attempt > 1,
            on_progress=nothing,
        ).run()

    def left(self, claim: Claim) -> list[str]:
        """Announcements that are left when it was looked once more, as is done a while after an order ended."""
        sweep_late(
            claim.text.read(),
            session=self.lab.session,
            service=self.lab.session,
            attempt=claim.lease.attempt,
            files=Ledger(self.database, claim.lease).files(),
            since=time.time() - 60,
            now=time.time(),
            settings=self.settings,
            check=lambda: None,
        )
        return self.loose()

    def again(self, claim: Claim) -> Claim:
        """Claim the order anew, as after a failed attempt."""
        self.queue.give_back(claim.lease, note="again", failures=1, after_seconds=0)
        following = self.queue.claim(owner="me:1")
        assert following is not None
        return following

    def lines(self, claim: Claim) -> dict[str, LedgerFile]:
        return {Path(line.key).name: line for line in Ledger(self.database, claim.lease).files()}

    def filesets(self) -> list[str]:
        """Names of the files of all filesets of the user, whether they have images or not."""
        hql = "select e.clientPath from FilesetEntry e where e.fileset.details.owner.id = :user"
        return sorted(Path(path).name for (path,) in self.lab.session.query(hql, user=self.lab.session.user_id))

    def loose(self) -> list[str]:
        """Markers that are linked to no image."""
        hql = (
            "select a.textValue from CommentAnnotation a where a.ns = :ns and a.details.owner.id = :user "
            "and not exists (select l.id from ImageAnnotationLink l where l.child.id = a.id)"
        )
        return [text for (text,) in self.lab.session.query(hql, ns=MARKER_NAMESPACE, user=self.lab.session.user_id)]

    def names(self, *images: int) -> list[str]:
        rows = self.lab.session.query("select i.name from Image i where i.id in (:ids) order by i.id", ids=images)
        return [name for (name,) in rows]


@pytest.fixture
def ordering(lab: Lab, database: Database, queue: Queue, database_url: str, data_folder: Path, stand_in: StandIn) -> Ordering:
    settings = Settings.load(
        ingest_tracking_db=database_url,
        base_dir=data_folder,
        importer="omero",
        settle_seconds=0,
        skip_all=True,
        log_file_path=data_folder.parent / "app.logs",
    )
    return Ordering(lab, database, queue, settings)


@pytest.fixture
def logged(ordering: Ordering) -> Iterator[Path]:
    """Logs as in a worker; gives the folder that they are in."""
    root = logging.getLogger("omero_adi_plugin")
    before = root.handlers, root.level, root.propagate
    set_up(ordering.settings)
    with order_logs(ordering.settings, uuid="order"):
        yield ordering.settings.base_dir.parent
    for handler in root.handlers:
        handler.close()
    root.handlers, root.level, root.propagate = before


def test_one_call_brings_in_all_entries(ordering: Ordering, stand_in: StandIn, samples: Samples) -> None:
    (samples.folder / "metadata.csv").write_text("key,value\nStain,DAPI\n")
    claim = ordering.order(samples.image(), samples.three_images())
    assert ordering.run(claim) is None
    [call] = stand_in.calls
    assert len([word for word in call["words"] if word.startswith(str(samples.folder))]) == 2
    lines = ordering.lines(claim)
    assert {name: (line.route, line.step, len(line.images)) for name, line in lines.items()} == {
        "image.ome.tif": ("omero", "annotated", 1),
        "three.ome.tif": ("omero", "annotated", 3),
    }
    images = ordering.lab.images()
    assert sorted(image for line in lines.values() for image in line.images) == images
    assert ordering.lab.images_with(claim.lease.order) == images
    found = ordering.lab.session.query(
        "select distinct a.textValue from ImageAnnotationLink l join l.child a where a.ns = :ns", ns=MARKER_NAMESPACE
    )
    assert found == [[f"{claim.lease.order} 1 *"]]
    assert ordering.loose() == []
    for image in images:
        [values] = ordering.lab.key_values(image)
        assert {"csv_Stain": "DAPI", "Import_Route": "omero", "UUID": claim.lease.order}.items() <= values.items()


def test_the_session_key_is_for_nobody_to_see(ordering: Ordering, stand_in: StandIn, samples: Samples, logged: Path) -> None:
    key = ordering.lab.session.client.getSessionId()
    stand_in.does(stderr=[f"joining session {key}"], stdout=[f"2026 [main] INFO joined {key}"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMERO_PASSWORD", "hidden")
        patch.setenv("INGEST_TRACKING_DB_URL", "hidden")
        patch.setenv("LD_LIBRARY_PATH", "/usr/lib/jvm/server")
        ordering.run(ordering.order(samples.image()))
    [call] = stand_in.calls
    assert call["words"][call["words"].index("-k") + 1] == key
    assert key not in call["command"]
    assert not {"OMERO_PASSWORD", "INGEST_TRACKING_DB_URL", "LD_LIBRARY_PATH"} & call["environment"].keys()
    log = (logged / "cli.order.logs").read_text()
    assert "joining session …" in log
    assert "joined …" in log
    assert "IMPORT_DONE Imported file" in log
    assert key not in log
    assert "importer.log" not in (logged / "app.logs").read_text()


def test_it_is_told_what_the_settings_say(ordering: Ordering, stand_in: StandIn, samples: Samples) -> None:
    settings: dict[str, Any] = {"skip_all": False, "skip_minmax": True, "parallel_filesets_per_worker": 3, "reader_heap_mb": 2000}
    ordering.run(ordering.order(*(samples.image(f"{number}.ome.tif") for number in range(4))), **settings)
    ordering.run(ordering.order(samples.three_images()), skip_all=True)
    first, second = (call["words"] for call in stand_in.calls)
    for word in ("--transfer=ln_s", "--output=yaml", "-c", f"Dataset:{ordering.lab.dataset}", "--no-stats-info", "-Xmx2000M"):
        assert word in first
    assert "--parallel-fileset=3" in first
    assert not {"--no-thumbnails", "--no-upgrade-check", "--checksum-algorithm=File-Size-64"} & set(first)
    assert {"--no-stats-info", "--no-thumbnails", "--no-upgrade-check", "--checksum-algorithm=File-Size-64"} <= set(second)
    assert str(stand_in.omerodir / "lib" / "client" / "omero-blitz.jar") in first[first.index("-cp") + 1]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"FILE_EXCEPTION": "loci.formats.FormatException: Invalid TIFF file: bad.ome.tif"}, "damaged.*Invalid TIFF file"),
        ({"UNKNOWN_FORMAT": "loci.formats.UnknownFormatException: x"}, "no reader for this format"),
        ({"UNREADABLE_FILE": "java.io.FileNotFoundException: x"}, "cannot be read by"),
        ({"INTERNAL_EXCEPTION": "java.lang.RuntimeException: Failure response on import!"}, "Failure response on import"),
    ],
)
def test_what_it_does_not_take_fails_alone_with_its_own_words(
    said: dict[str, str], sentence: str, ordering: Ordering, stand_in: StandIn, samples: Samples
) -> None:
    bad = samples.image("bad.ome.tif")
    stand_in.does(refuses={"bad.ome.tif": said})
    claim = ordering.order(samples.image("a.ome.tif"), bad, samples.image("b.ome.tif"))
    with pytest.raises(EntriesFailed, match=f"1 of 3 files.*bad.ome.tif.*{sentence}"):
        ordering.run(claim)
    assert ordering.filesets() == ["a.ome.tif", "b.ome.tif"]
    lines = ordering.lines(claim)
    assert {name: line.step for name, line in lines.items()} == {
        "a.ome.tif": "annotated",
        "b.ome.tif": "annotated",
        "bad.ome.tif": "failed",
    }


def test_all_of_it_may_fail_although_the_importer_ends_with_0(ordering: Ordering, stand_in: StandIn, samples: Samples) -> None:
    stand_in.does(refuses={"bad.ome.tif": {"FILE_EXCEPTION": "loci.formats.FormatException: No IFDs found"}})
    with pytest.raises(EntriesFailed, match="No IFDs found"):
        ordering.run(ordering.order(samples.image("bad.ome.tif")))
    assert ordering.loose() == []


def test_what_the_server_refuses_leaves_nothing(ordering: Ordering, samples: Samples, logged: Path) -> None:
    odd = samples.folder / "odd&sizeX=abc.fake"
    odd.touch()
    ordering.reader.plates[str(odd)] = 0
    claim = ordering.order(str(odd), samples.image())
    with pytest.raises(EntriesFailed, match=r"1 of 2 files.*OMERO could not import.*odd&sizeX=abc.fake"):
        ordering.run(claim)
    assert ordering.filesets() == ["image.ome.tif"]
    assert "event=server.log" in (logged / "cli.order.logs").read_text(), "why, in the server's words"


def test_what_nobody_explains_is_tried_again_and_alone(ordering: Ordering, stand_in: StandIn, samples: Samples) -> None:
    stand_in.does(overlooks=["lost.ome.tif"])
    claim = ordering.order(samples.image("lost.ome.tif"), samples.image("good.ome.tif"))
    with pytest.raises(ImportInterrupted, match=r"lost.ome.tif.*does not say"):
        ordering.run(claim)
    assert ordering.filesets() == ["good.ome.tif"]
    stand_in.does()
    assert ordering.run(ordering.again(claim)) is None
    assert ordering.filesets() == ["good.ome.tif", "lost.ome.tif"]
    assert [Path(word).name for word in stand_in.calls[1]["words"] if word.startswith(str(samples.folder))] == ["lost.ome.tif"]


@pytest.mark.parametrize("point", ["created", "linked", "verifying", "imported"])
def test_killed_at_any_point_each_file_ends_up_there_once(
    point: str, ordering: Ordering, stand_in: StandIn, samples: Samples
) -> None:
    stand_in.does(at=[point, "b.ome.tif"], do="die")
    claim = ordering.order(*(samples.image(name) for name in ("a.ome.tif", "b.ome.tif", "c.ome.tif")))
    with pytest.raises(ImportInterrupted, match="killed"):
        ordering.run(claim)
    assert set(ordering.filesets()) <= {"a.ome.tif", "b.ome.tif"}
    assert len(ordering.lab.images()) == len(ordering.filesets()), "no fileset without its image"
    stand_in.does()
    claim = ordering.again(claim)
    assert ordering.run(claim) is None
    assert ordering.filesets() == ["a.ome.tif", "b.ome.tif", "c.ome.tif"]
    assert len(ordering.lab.images_with(claim.lease.order)) == len(ordering.lab.images()) == 3
    assert all(len(ordering.lab.key_values(image)) == 1 for image in ordering.lab.images())
    assert ordering.left(claim) == []


@pytest.mark.parametrize("point", ["created", "verifying", "imported"])
def test_what_a_dead_worker_has_left_is_found(point: str, ordering: Ordering, stand_in: StandIn, samples: Samples) -> None:
    """Nobody has taken anything back, and the ledger knows of nothing."""
    claim, path = ordering.order(samples.image("a.ome.tif")), samples.image("a.ome.tif")
    announce(ordering.lab.session, claim_marker(claim))
    stand_in.does(at=[point, "a.ome.tif"], do="die")
    with pytest.raises(ImportInterrupted):
        bring_in(ordering, path, claim_marker(claim))
    assert ordering.filesets() == ["a.ome.tif"]
    stand_in.does()
    ordering.run(ordering.again(claim))
    assert ordering.filesets() == ["a.ome.tif"]
    assert len(ordering.lab.images_with(claim.lease.order)) == 1
    assert len(stand_in.calls) == (1 if point == "imported" else 2) or point == "verifying"
    assert ordering.left(claim) == []


def test_who_may_not_go_on_ends_it_and_leaves_no_half(ordering: Ordering, stand_in: StandIn, samples: Samples) -> None:
    stand_in.does(at=["linked", "b.ome.tif"], do="hang")
    reached = stand_in.control.with_name("reached")
    ordering.guard.unless = lambda: LeaseLost(uuid="x") if reached.exists() else None
    with pytest.raises(LeaseLost):
        ordering.run(ordering.order(samples.image("a.ome.tif"), samples.image("b.ome.tif")))
    assert ordering.filesets() == ["a.ome.tif"]
    [call] = stand_in.calls
    assert call["group"] == call["pid"] != os.getpgid(0)
    with pytest.raises(ProcessLookupError):
        os.killpg(call["group"], 0)


def test_between_its_calls_the_order_can_be_left(ordering: Ordering, stand_in: StandIn, samples: Samples) -> None:
    claim = ordering.order(*(samples.image(f"{number}.ome.tif") for number in range(5)))
    ordering.guard.stop = lambda settled: GaveWay("gave way") if settled >= 4 else None
    with pytest.raises(GaveWay):
        ordering.run(claim, yield_after_filesets=2)
    assert len(stand_in.calls) == 2
    assert len(ordering.lab.images_with(claim.lease.order)) == len(ordering.lab.images()) == 4
    claim = ordering.again(claim)
    assert ordering.run(claim) is None
    assert len(ordering.lab.images_with(claim.lease.order)) == len(ordering.lab.images()) == 5
    assert [Path(word).name for word in stand_in.calls[2]["words"] if word.startswith(str(samples.folder))] == ["4.ome.tif"]
    assert ordering.left(claim) == []


@pytest.mark.parametrize("point", ["verifying", "imported"])
def test_an_order_that_comes_called_off_imports_nothing_and_is_tidied_up(
    point: str, ordering: Ordering, stand_in: StandIn, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = ordering.order(samples.image("a.ome.tif"), samples.image("b.ome.tif"), samples.image("c.ome.tif"))
    stand_in.does(at=[point, "b.ome.tif"], do="die")
    monkeypatch.setattr(OfficialRun, "_take_back", nothing)  # the worker dies with it
    with pytest.raises(ImportInterrupted):
        ordering.run(claim)
    stand_in.does()
    ordering.guard.stop = lambda _: Cancelled(by="ada@lab")
    claim = ordering.again(claim)
    with pytest.raises(Cancelled):
        ordering.run(claim)
    assert len(stand_in.calls) == 1
    assert len(ordering.lab.images()) == len(ordering.filesets()) > 0, "a half is left"
    assert ordering.lab.images_with(claim.lease.order) == ordering.lab.images()
    assert ordering.left(claim) == []


def test_it_is_told_how_many_places_there_are_and_waits_for_one(ordering: Ordering, stand_in: StandIn, samples: Samples) -> None:
    claim = ordering.order(*(samples.image(f"{number}.ome.tif") for number in range(3)))
    answers = iter([0, 2])

    def places(*, wanted: int) -> int:
        assert wanted == 3
        return next(answers)

    ordering.guard.places = places  # type: ignore[method-assign]
    ordering.run(claim, parallel_filesets_per_worker=8)
    assert "--parallel-fileset=2" in stand_in.calls[0]["words"]


def test_one_that_says_nothing_any_more_is_ended(ordering: Ordering, stand_in: StandIn, samples: Samples) -> None:
    stand_in.does(at=["created", "a.ome.tif"], do="hang")
    with pytest.raises(ImportInterrupted, match="had said nothing for 2 s"):
        ordering.run(ordering.order(samples.image("a.ome.tif")), import_patience_seconds=2)
    assert ordering.filesets() == []


def test_names_of_the_order_become_those_of_images_and_plates(ordering: Ordering, samples: Samples, data_folder: Path) -> None:
    names = ("one", "many", "c.ome.tif")
    ordering.run(
        ordering.order(samples.image("a.ome.tif"), samples.three_images("b.ome.tif"), samples.image("c.ome.tif"), names=names)
    )
    called = ordering.names(*ordering.lab.images())
    assert min(called) == "c.ome.tif"
    assert "one" in called
    assert len([name for name in called if name.startswith("many")]) == 3


def test_a_plate_goes_into_a_screen_and_into_no_dataset(ordering: Ordering, stand_in: StandIn, data_folder: Path) -> None:
    plate = data_folder / "p&screens=1&plates=1&plateRows=1&plateCols=2&fields=1&plateAcqs=1&sizeX=8&sizeY=8.fake"
    plate.touch()
    ordering.reader.plates[str(plate)] = 1
    with pytest.raises(EntriesFailed, match="a plate, which cannot be put into Dataset"):
        ordering.run(ordering.order(str(plate)))
    assert stand_in.calls == []
    ordering.target = Target(kind=TargetKind.SCREEN, id=ordering.lab.screen)
    claim = ordering.order(str(plate), names=("my plate",))
    ordering.run(claim)
    [line] = ordering.lines(claim).values()
    assert (len(line.images), len(line.plates)) == (2, 1)
    rows = ordering.lab.session.query(
        "select l.child.name from ScreenPlateLink l where l.parent.id = :id", id=ordering.lab.screen
    )
    assert rows == [["my plate"]]
    assert all(name.startswith("my plate [") for name in ordering.names(*line.images))


def test_files_that_are_read_together_are_one_fileset(ordering: Ordering, stand_in: StandIn, samples: Samples) -> None:
    first, second = samples.image("a.ome.tif"), samples.image("b.ome.tif")
    ordering.reader.sets = {first: (first, second), second: (first, second)}
    stand_in.does(sets={"a.ome.tif": ["b.ome.tif"]})
    claim = ordering.order(second, first)
    ordering.run(claim)
    assert ordering.filesets() == ["a.ome.tif", "b.ome.tif"]
    lines = ordering.lines(claim)
    assert {name: line.step for name, line in lines.items()} == {"a.ome.tif": "annotated"}
    assert lines["a.ome.tif"].entry == second


def test_what_is_there_is_skipped_and_not_handed_over(ordering: Ordering, stand_in: StandIn, samples: Samples) -> None:
    ordering.run(ordering.order(samples.image("a.ome.tif")))
    said = ordering.run(ordering.order(samples.image("a.ome.tif"), samples.image("b.ome.tif")), skip_existing=True)
    assert said == "One file was in the target already, and was not imported again."
    assert [Path(word).name for word in stand_in.calls[1]["words"] if word.startswith(str(samples.folder))] == ["b.ome.tif"]


def test_a_second_run_imports_nothing_and_annotates_what_is_not(ordering: Ordering, stand_in: StandIn, samples: Samples) -> None:
    claim = ordering.order(samples.image())
    ordering.run(claim)
    Path(samples.image()).unlink()
    ordering.run(ordering.again(claim))
    assert len(stand_in.calls) == 1
    [image] = ordering.lab.images()
    assert len(ordering.lab.key_values(image)) == 1


def test_deleted_by_a_person_it_is_not_imported_again(ordering: Ordering, stand_in: StandIn, samples: Samples) -> None:
    claim = ordering.order(samples.image())
    ordering.run(claim)
    [line] = ordering.lines(claim).values()
    assert line.fileset is not None
    delete(ordering.lab.session, "Fileset", [line.fileset])
    with pytest.raises(EntriesFailed, match="not visible any more"):
        ordering.run(ordering.again(claim))
    assert len(stand_in.calls) == 1


def test_of_two_that_were_made_of_one_file_the_older_goes(ordering: Ordering, stand_in: StandIn, samples: Samples) -> None:
    """As when the server finishes by itself what a killed importer had begun, after nobody has looked any more."""
    path = samples.image("a.ome.tif")
    claim = ordering.order(path)

    def late() -> None:
        ordering.reader.meanwhile = lambda: None
        other = claim_marker(claim)
        announce(ordering.lab.session, other)
        bring_in(ordering, path, other)

    ordering.reader.meanwhile = late  # after the stock was taken, before the call
    ordering.run(claim)
    assert ordering.filesets() == ["a.ome.tif"]
    [line] = ordering.lines(claim).values()
    assert list(line.images) == ordering.lab.images()


def test_other_orders_in_the_same_session_are_left_alone(ordering: Ordering, samples: Samples) -> None:
    first = ordering.order(samples.image("a.ome.tif"))
    ordering.run(first)
    second = ordering.order(samples.image("b.ome.tif"))
    ordering.run(second)
    held = holdings(ordering.lab.session, uuid=second.lease.order, target=ordering.target, statistics=False)
    assert [sorted(Path(path).name for path in each.paths) for each in held] == [["b.ome.tif"]]
    assert ordering.filesets() == ["a.ome.tif", "b.ome.tif"]


def test_what_a_session_imported_in_which_a_marker_was_copied_is_not_the_order_s(ordering: Ordering, samples: Samples) -> None:
    """As OMERO's `duplicate` copies an image with its comments."""
    claim = ordering.order(samples.image("a.ome.tif"))
    with Logins(ordering.lab.account) as logins, logins.act_for(ordering.lab.user, ordering.lab.group) as another:
        half = ImageI()
        half.setName(rstring("a copy"))
        comment = CommentAnnotationI()
        comment.setNs(rstring(MARKER_NAMESPACE))
        comment.setTextValue(rstring(str(claim_marker(claim))))
        half.linkAnnotation(comment)
        another.factory.getUpdateService().saveObject(half)
        mine = made(another)
    ordering.run(claim)
    held = holdings(ordering.lab.session, uuid=claim.lease.order, target=ordering.target, statistics=False)
    assert mine.fileset not in [each.found.fileset for each in held]
    assert len(held) == 1


def test_a_target_that_goes_away_fails_the_order(ordering: Ordering, samples: Samples) -> None:
    path = samples.image()
    ordering.reader.meanwhile = lambda: delete(ordering.lab.session, "Dataset", [ordering.lab.dataset])
    with pytest.raises(TargetMissing):
        ordering.run(ordering.order(path))
    assert (ordering.filesets(), ordering.loose()) == ([], [])


def test_an_order_that_fails_later_on_leaves_nothing_of_what_was_begun(
    ordering: Ordering, stand_in: StandIn, samples: Samples
) -> None:
    claim = ordering.order(samples.image("a.ome.tif"))
    announce(ordering.lab.session, claim_marker(claim))
    stand_in.does(at=["linked", "a.ome.tif"], do="die")
    with pytest.raises(ImportInterrupted):
        bring_in(ordering, samples.image("a.ome.tif"), claim_marker(claim))
    assert (len(ordering.filesets()), len(ordering.loose())) == (1, 1)
    delete(ordering.lab.session, "Dataset", [ordering.lab.dataset])
    with pytest.raises(TargetMissing):
        ordering.run(ordering.again(claim))
    assert (ordering.filesets(), ordering.left(claim)) == ([], [])


def test_without_the_importer_nothing_is_begun(
    ordering: Ordering, stand_in: StandIn, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = ordering.order(samples.image())
    for jar in (stand_in.omerodir / "lib" / "client").iterdir():
        jar.unlink()
    with pytest.raises(ConfigurationError, match="there is no jar in"):
        ordering.run(claim)
    monkeypatch.delenv("OMERODIR")
    with pytest.raises(ConfigurationError, match="OMERODIR is not set"):
        ordering.run(claim)


def test_a_java_that_does_not_start_is_no_fault_of_the_order(
    ordering: Ordering, stand_in: StandIn, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = ordering.order(samples.image())
    stand_in.does(exit=1, stderr=["Error: Could not find or load main class ome.formats.importer.cli.CommandLineImporter"])
    with pytest.raises(ConfigurationError, match=r"does not start \(status 1\): Error: Could not find or load main class"):
        ordering.run(claim)
    monkeypatch.setenv("PATH", str(stand_in.omerodir))
    with pytest.raises(ConfigurationError, match="no `java` on the service's PATH"):
        ordering.run(claim)


@pytest.mark.parametrize(
    "name",
    ["a b.ome.tif", 'it\'s "so".ome.tif', "back\\slash.ome.tif", "#hash.ome.tif", "@at.ome.tif", "ünï-😀.ome.tif", "50%.ome.tif"],
)
def test_odd_names_go_through(name: str, ordering: Ordering, samples: Samples) -> None:
    claim = ordering.order(samples.image(name))
    ordering.run(claim)
    [line] = ordering.lines(claim).values()
    assert line.key == str(samples.folder / name)
    assert tifffile.imread(samples.folder / name).size
    assert len(ordering.lab.images()) == 1


def nothing(_: object) -> None:
    pass


def claim_marker(claim: Claim) -> Marker:
    return Marker(uuid=claim.lease.order, attempt=claim.lease.attempt, key=ALL)


def bring_in(ordering: Ordering, path: str, marker: Marker) -> None:
    OfficialImporter(
        session=ordering.lab.session,
        skip=Skip(checksum=True, minmax=True, thumbnails=True),
        skip_upgrade=True,
        parallel_files=1,
        parallel_filesets=1,
        heap_mb=512,
        patience_seconds=60,
    ).run([planned(path)], target=ordering.target, marker=marker, on_reported=nothing, on_wait=nothing)


def test_a_session_that_is_gone_is_told_as_such(lab: Lab) -> None:
    with Logins(lab.account) as logins:
        session = logins.act_for(lab.user, lab.group)
        session.close()
        with pytest.raises(ConnectionBroken):
            made_here(session, [1])


def test_an_announcement_that_the_server_does_not_get_on_with_deleting_is_for_another_attempt(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(lab.session, Marker(uuid="stuck", attempt=1, key=ALL))
    monkeypatch.setattr(holdings_module, "DELETE_PATIENCE_SECONDS", -1)
    monkeypatch.setattr(handles, "_response", lambda *_: (False, None))
    with pytest.raises(ServerTrouble):
        withdraw(lab.session, uuid="stuck")
