# SPDX-License-Identifier: GPL-2.0-or-later
"""A process is killed at every named place; another service goes on, and OMERO, disk and tables hold what was promised.

Cases that need the same surroundings share an arena: its orders come to grief one after the other, and one service goes on with
all of them. Each test is about its own order.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from omero_adi_plugin.crashpoints import VARIABLE, Point
from omero_adi_plugin.importers.annotating import annotate
from omero_adi_plugin.importers.markers import delete_fileset
from omero_adi_plugin.importers.protocol import KeyValues
from omero_adi_plugin.importers.repository import ManagedRepository
from omero_adi_plugin.orders import Target, TargetKind
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.tracking.operating import cancel, retry
from omero_adi_plugin.tracking.submit import submit_order
from tests.fixtures.arena import SETTINGS, Arena, Made, Ordered
from tests.fixtures.doomed import Doomed, Role, doomed_in
from tests.fixtures.foundry import RANDOM, TWO, Foundry, first_pixel, wants
from tests.fixtures.holds import Hold
from tests.fixtures.importing import EVERYTHING, Importing, planned
from tests.fixtures.laboratory import Lab
from tests.fixtures.official import StandIn
from tests.fixtures.omero import ServerHere, running_here
from tests.fixtures.podman import Podman
from tests.fixtures.postgres import new_database
from tests.fixtures.processors import Hosts
from tests.fixtures.roles import script_role
from tests.fixtures.samples import Samples
from tests.fixtures.services import WITHOUT_JAVA, Services, Tracking
from tests.fixtures.waiting import wait_until

IDLE_SECONDS = 4.0
"""How long a session may be silent: what a killed worker leaves on a server is gone after that."""

SCRIPT_SECONDS = 60.0
"""How long that of a script may live, killed or not; it may be silent. A slow host takes more than ten to start one."""

WITH_JAVA = "begun"
"""The arena in which files are opened with Bio-Formats: a Java for each worker takes as long as all else that it does."""

ARMING = f"""
    import os, pathlib

    armed = pathlib.Path(os.environ["OMERODIR"], "armed")
    if armed.exists():
        os.environ[{VARIABLE!r}] = armed.read_text()
"""
"""Arms a point for the scripts of a host: its Processor gives them few variables."""


# --- how an order comes to a point


def plain(arena: Arena, point: Point) -> Ordered:
    """Its worker dies there."""
    ordered = arena.two_files()
    arena.die(point)
    return ordered


def huge(arena: Arena, point: Point) -> Ordered:
    """Its worker dies there, whose calls are smaller than the fileset."""
    ordered = arena.two_files()
    arena.die(point, objects=2)
    return ordered


def folder(arena: Arena, point: Point) -> Ordered:
    lab, samples = arena.lab(), arena.folder()
    files = {samples.three_images(): 3, samples.image(): 1}
    ordered = Ordered(lab=lab, uuid=arena.order(lab, str(samples.folder)), files=files)
    arena.die(point)
    return ordered


def shrunk(arena: Arena, point: Point) -> Ordered:
    """A file that the first attempt had planned is gone at the second, which dies there."""
    lab, samples = arena.lab(), arena.folder()
    kept, gone = samples.three_images(), samples.image()
    ordered = Ordered(lab=lab, uuid=arena.order(lab, str(samples.folder)), files={kept: 3})
    arena.die(Point.PLAN_WRITTEN)
    Path(gone).unlink()
    arena.hand_over(ordered)
    arena.die(point)
    return ordered


def half(arena: Arena, point: Point) -> Ordered:
    """The first worker has left a half fileset, over which the second one dies."""
    ordered = arena.two_files()
    arena.die(Point.VERIFY_DUE)
    arena.hand_over(ordered)
    arena.die(point)
    return ordered


def loose(arena: Arena, point: Point) -> Ordered:
    """What the first worker brought in was taken out of the Dataset; the second one dies over putting it back."""
    ordered = arena.two_files()
    arena.die(Point.KEY_VALUES_SAVED)
    with arena.session(ordered.lab) as session:
        links = session.query("select l.id from DatasetImageLink l where l.parent.id = :id", id=ordered.lab.dataset)
        for (link,) in links:
            found = session.factory.getQueryService().get("DatasetImageLink", link)
            session.factory.getUpdateService().deleteObject(found)
    assert links
    arena.hand_over(ordered)
    arena.die(point)
    return ordered


def called_off(arena: Arena, point: Point) -> Ordered:
    """Somebody calls it off when a worker has died over it; the one who tidies up dies there."""
    ordered = arena.two_files()
    arena.die(Point.VERIFY_DUE)
    with arena.database() as database:
        cancel(database, ordered.uuid, who="somebody@host")
    arena.hand_over(ordered)
    arena.die(point)
    return Ordered(lab=ordered.lab, uuid=ordered.uuid, files={}, end="cancelled")


def failing(arena: Arena, point: Point) -> Ordered:
    """One of its files is missing."""
    lab, samples = arena.lab(), arena.folder()
    there = samples.three_images()
    ordered = Ordered(lab=lab, uuid=arena.order(lab, there, f"{there}.gone"), files={there: 3}, end="failed")
    arena.die(point)
    return ordered


def given_back(arena: Arena, point: Point) -> Ordered:
    """Its worker was asked to end."""
    ordered = arena.two_files()
    arena.die(point, Role.ENDED_WORKER)
    return ordered


def long_lasting(arena: Arena, point: Point) -> Ordered:
    """OMERO takes its time."""
    ordered = arena.two_files()
    hold = Hold(arena.server, "import.step.1.before", user=ordered.lab.user)
    arena.die(point)
    hold.let_go()
    return ordered


def cut_off(arena: Arena, point: Point) -> Ordered:
    """OMERO has ended its session in the middle."""
    ordered = arena.two_files()
    hold = Hold(arena.server, "import.step.1.before", user=ordered.lab.user)
    arena.doomed.begin(point, config=arena.services.config)
    hold.wait()
    for session in arena.sessions(ordered.lab):
        arena.server.disturb.expire(session)
    arena.doomed.ended()
    arena.set_aside()
    hold.let_go()
    return ordered


def brought_back(arena: Arena, point: Point) -> Ordered:
    """What it had imported is gone, and a person wants it again; the worker that begins with that dies there."""
    ordered = arena.two_files()
    arena.die(Point.OUTCOME_WRITTEN)
    with arena.session(ordered.lab) as session:
        filesets = session.query("select f.id from Fileset f where f.details.owner.id = :user", user=session.user_id)
        for (fileset,) in filesets:
            delete_fileset(session, fileset)
    with arena.database() as database:
        retry(database, ordered.uuid, who="somebody@host", again=True)
    arena.take_in()
    arena.die(point)
    return replace(ordered, times=2)


def commanded(arena: Arena, point: Point) -> Ordered:
    """Its command dies there, by which somebody has ordered it and carries it out himself."""
    lab, samples = arena.lab(), arena.folder()
    file = samples.three_images()
    words = ("import", file, "--into", f"Dataset:{lab.dataset}", "--for", lab.user, "--in-group", lab.group)
    arena.die(point, arguments=words)
    [(uuid,)] = arena.tracking.sql("SELECT uuid FROM adi_order WHERE user_name = %s", lab.user)
    return Ordered(lab=lab, uuid=uuid, files={file: 3})


def skipping(arena: Arena, point: Point) -> Ordered:
    """One of its files is in the target already."""
    former = arena.two_files()
    arena.die(Point.OUTCOME_WRITTEN)
    held, lab = next(iter(former.files)), former.lab
    new = Samples(Path(held).parent).image("new.ome.tif")
    target = Target(kind=TargetKind.DATASET, id=lab.dataset)
    with arena.database() as database:
        uuid = submit_order(database, user=lab.user, group=lab.group, target=target, files=[held, new], skip_existing=True)
    arena.die(point)
    return Ordered(lab=lab, uuid=uuid, files={new: 1}, earlier=former.held)


def official(arena: Arena, point: Point) -> Ordered:
    """Its worker dies there, with OMERO's own importer at work."""
    ordered = arena.two_files(file_names=json.dumps(["first", "second"]))
    arena.die(point)
    return replace(ordered, official=True, names=[*(f"first [Image{series}]" for series in range(3)), "second"])


def served(arena: Arena, point: Point) -> Ordered:
    """The service that is to take it in, and to have it carried out, dies there."""
    lab, samples = arena.lab(), arena.folder()
    file = samples.image()
    ordered = Ordered(lab=lab, uuid=arena.tracking.order(lab, file), files={file: 1})
    arena.die(point, Role.SERVICE)
    return ordered


def untold(arena: Arena, point: Point) -> Ordered:
    """No trigger has told of it; the service that finds it dies there."""
    lab, samples = arena.lab(), arena.folder()
    file = samples.image()
    ordered = Ordered(lab=lab, uuid=arena.tracking.order(lab, file), files={file: 1})
    arena.tracking.sql("DELETE FROM adi_inbox")
    arena.die(point, Role.SERVICE)
    return ordered


def lapsed(arena: Arena, point: Point) -> Ordered:
    """Its worker died; the service that frees it dies there."""
    ordered = arena.two_files()
    arena.die(Point.FILESET_LINKED)
    arena.time_passes(ordered.uuid)
    arena.die(point, Role.SERVICE)
    return ordered


def unburied(arena: Arena, point: Point) -> Ordered:
    """Its worker is killed; the service that notices it dies there."""
    ordered = arena.two_files()
    hold = Hold(arena.server, "import.step.1.before", user=ordered.lab.user)
    arena.doomed.begin(point, config=arena.services.config, role=Role.SERVICE)
    hold.wait()
    [(owner,)] = arena.tracking.sql("SELECT lease_owner FROM adi_order WHERE uuid = %s", ordered.uuid)
    os.kill(int(owner.rpartition(":")[2]), signal.SIGKILL)
    arena.doomed.ended()
    arena.set_aside()
    hold.let_go()
    return ordered


def remembered(arena: Arena, point: Point) -> Ordered:
    """Orders that ended long ago are to be forgotten; the service that does so dies there."""
    lab, samples = arena.lab(), arena.folder()
    file = samples.image()
    ordered = Ordered(lab=lab, uuid=arena.order(lab, file), files={file: 1})
    old = arena.tracking.order(lab, file, uuid="long ago", stage="Import Completed")
    arena.tracking.sql(
        "INSERT INTO adi_order (uuid, imports_id, user_name, group_name, state, finished_at)"
        " SELECT uuid, id, user_name, group_name, 'completed', now() - interval '100 days' FROM imports WHERE uuid = %s",
        old,
    )
    arena.tracking.sql("UPDATE adi_control SET pruned_at = NULL")
    arena.die(point, Role.SERVICE)
    return replace(ordered, others={old: ["Import Completed"]})


def former(arena: Arena, point: Point) -> Ordered:
    """The former importer has ended in the middle of another one; the service that takes over from it dies there."""
    lab, samples = arena.lab(), arena.folder()
    file = samples.image()
    ordered = Ordered(lab=lab, uuid=arena.tracking.order(lab, file), files={file: 1})
    begun = ["Import Pending", "Import Started"]
    for stage in begun:
        arena.tracking.order(lab, file, uuid="begun before", stage=stage)
    arena.die(point, Role.SERVICE)
    return replace(ordered, others={"begun before": [*begun, "Import Failed"]})


def at_the_end(arena: Arena, point: Point) -> Ordered:
    """Everything is done; who did it dies there, on the way out."""
    ordered = arena.two_files()
    arena.die(point, Role.WORKER if point is Point.WORKER_DONE else Role.SERVICE_ONCE)
    return ordered


def swept(arena: Arena, point: Point) -> Ordered:
    """When it had ended, requests of a lost worker arrived; the worker that looks for what they brought dies there."""
    ordered = arena.two_files()
    arena.die(Point.ORDER_CLAIMED)
    arena.hand_over(ordered)
    arena.die(Point.OUTCOME_WRITTEN)
    with arena.session(ordered.lab) as session:
        lab = replace(ordered.lab, session=session)
        late(lab, ordered)
        repository = ManagedRepository.of(session).root
        [[prefix]] = session.query(
            "select max(s.templatePrefix) from Fileset s where s.details.owner.id = :user", user=session.user_id
        )
    stray = (repository / prefix).with_name("00-00-00.000")
    (stray / "mylab").mkdir(parents=True)
    (stray / "mylab" / "image.ome.tif").symlink_to(list(ordered.files)[1])
    os.utime(stray, (then := time.time() - 60, then))  # a younger one may belong to an import that has just begun
    arena.time_passes(ordered.uuid)
    arena.die(point)
    return ordered


def late(lab: Lab, ordered: Ordered) -> None:
    """Bring a file of an order in once more, and key-values of the other, as an earlier attempt."""
    first, second = ordered.files
    importing = Importing(lab, skip=EVERYTHING)
    importing.order = ordered.uuid
    importing.begin(planned(second))
    hql = "select i.id from Image i join i.fileset.usedFiles e where e.clientPath = :path order by i.id"
    images = tuple(image for (image,) in lab.session.query(hql, path=first.lstrip("/")))
    values = KeyValues(images=images[:2], plates=(), values=(("csv_stain", "DAPI"),))
    annotate(lab.session, [values], namespace="omeroadi.import", uuid=ordered.uuid, fresh=True)


def undone(arena: Arena, point: Point) -> Ordered:
    """Somebody undoes it, and is killed in the middle; so it is done once more."""
    ordered = arena.two_files()
    arena.die(Point.OUTCOME_WRITTEN)
    undo = ("orders", "undo", ordered.uuid, "--yes")
    arena.die(point, arguments=undo)
    done = arena.services.run(*undo)
    assert done.returncode == os.EX_OK, done.stderr
    return replace(ordered, files={})


def launched(arena: Arena, point: Point) -> Ordered:
    """Whoever has a script carry it out dies there."""
    ordered = arena.two_files()
    arena.die(point)
    arena.scripts_end()
    return ordered


def scripted(arena: Arena, point: Point) -> Ordered:
    """The script that carries it out dies there."""
    assert arena.host is not None
    ordered = arena.two_files()
    flag, armed = arena.host.omerodir / point, arena.host.omerodir / "armed"
    armed.write_text(f"{point}:{flag}")
    arena.die(Point.LET_GO)
    wait_until(flag.exists, what=f"a script's coming to {point}")
    armed.unlink()
    arena.scripts_end()
    return ordered


# --- with a converter


def converted(arena: Arena, point: Point) -> Ordered:
    """Its converter makes two files, the same at each run; whoever has it run dies there."""
    ordered = to_convert(arena, TWO)
    arena.die(point)
    again = {Point.CONTAINER_STARTED, Point.CONTAINER_ENDED, Point.CONTAINER_REMOVED}
    return replace(ordered, made=made_of(ordered, runs=2 if point in again else 1))


def converted_otherwise(arena: Arena, point: Point) -> Ordered:
    """Its converter makes other pixels at each run."""
    ordered = to_convert(arena, RANDOM)
    arena.die(point)
    return replace(ordered, made=made_of(ordered, runs=2 if point is Point.CONTAINER_REMOVED else 1))


def bereft(arena: Arena, point: Point) -> Ordered:
    """The same; what the first run had made, as far as it was not kept yet, is on a host that is gone."""
    ordered = to_convert(arena, RANDOM)
    arena.die(point)
    assert arena.foundry is not None
    shutil.rmtree(arena.foundry.temp / ordered.uuid)
    [source] = {Path(key.rpartition("#")[0]) for key in ordered.files}
    for room in source.parent.glob(".processed/.adi-*"):
        shutil.rmtree(room)
    if point is Point.OUTPUT_DELIVERED:
        return replace(ordered, made=made_of(ordered, mark={"one": ordered.uuid[:8]}, others={"one.ome.tif"}, runs=2))
    return replace(ordered, made=made_of(ordered, runs=1))


def made_again(arena: Arena, point: Point) -> Ordered:
    """One of its two images is gone, with the file that it showed, and a person wants it again."""
    ordered = to_convert(arena, RANDOM)
    arena.die(Point.OUTCOME_WRITTEN)
    made = made_of(ordered, runs=2)
    _, second = made.places.values()
    with arena.session(ordered.lab) as session:
        [[fileset]] = session.query("select i.fileset.id from Image i where i.name = 'The second'")
        delete_fileset(session, fileset)
    second.unlink()
    with arena.database() as database:
        retry(database, ordered.uuid, who="somebody@host", again=True)
    arena.take_in()
    arena.die(point)
    return replace(ordered, made=made, times=2)


def overtaken(arena: Arena, point: Point) -> Ordered:
    """The same; until it goes on, another order has put files of the same names where its own were to be."""
    ordered = to_convert(arena, RANDOM)
    arena.die(point)
    [source] = {Path(key.rpartition("#")[0]) for key in ordered.files}
    other = to_convert(arena, RANDOM, lab=ordered.lab, folder=Samples(source.parent), name="other.ome.tif")
    arena.die(Point.OUTCOME_WRITTEN)
    one_is_taken = point is Point.OUTPUT_DELIVERED
    theirs = made_of(other, mark={"one": other.uuid[:8]} if one_is_taken else {}).places
    own = made_of(ordered, mark=dict.fromkeys(("one", "two"), ordered.uuid[:8])).places
    return replace(
        ordered,
        earlier=other.held,
        names=sorted(2 * ordered.names) if ordered.names else None,
        made=Made(places=own | theirs, others=frozenset({"one.ome.tif"} if one_is_taken else ()), runs=2),
    )


def to_convert(
    arena: Arena, script: str, *, lab: Lab | None = None, folder: Samples | None = None, name: str = "scan.ome.tif"
) -> Ordered:
    """Order a file of which a converter is to make two."""
    assert arena.foundry is not None
    lab, folder = lab or arena.lab(), folder or arena.folder()
    file = folder.image(name, seed=len(arena.labs))
    image = arena.foundry.podman.converter(script)
    identity = wants(arena.tracking, image, saveoption=first_pixel(file))
    files = {f"{file}#{name}.ome.tif": 1 for name in ("one", "two")}
    uuid = arena.order(lab, file, preprocessing_id=identity)
    return Ordered(lab=lab, uuid=uuid, files=files, names=["The first", "The second"])


def made_of(ordered: Ordered, *, mark: Mapping[str, str] | None = None, others: Iterable[str] = (), runs: int = 1) -> Made:
    """What is kept of it. mark: in names of files, by their beginnings, where others are there already."""
    places = {}
    for key in ordered.files:
        source, _, name = key.rpartition("#")
        stem = name.partition(".")[0]
        marked = f".{mark[stem]}" if mark and stem in mark else ""
        places[key] = Path(source).parent / ".processed" / f"{stem}{marked}.ome.tif"
    return Made(places=places, others=frozenset(others), runs=runs)


# --- the cases


@dataclass(frozen=True)
class Case:
    """A point, and how an order comes there."""

    way: Callable[[Arena, Point], Ordered]
    point: Point

    def __str__(self) -> str:
        return f"{self.way.__name__}-{self.point}"


def cases(way: Callable[[Arena, Point], Ordered], *points: Point) -> list[Case]:
    return [Case(way, point) for point in points]


ARENAS = {
    "begun": cases(
        plain,
        Point.ORDER_CLAIMED,
        Point.SESSION_MADE,
        Point.SESSION_JOINED,
        Point.PLACES_GIVEN,
        Point.FILESET_DUE,
        Point.FILESET_MADE,
        Point.FILESET_NOTED,
    )
    + cases(folder, Point.PLAN_WRITTEN),
    "linked": cases(
        plain,
        Point.MARK_WRITTEN,
        Point.MARK_REMOVED,
        Point.LINK_PLACED,
        Point.FILE_CLOSED,
        Point.FILESET_LINKED,
        Point.VERIFY_DUE,
        Point.VERIFY_CALLED,
        Point.FILESET_IMPORTED,
    ),
    "finished": cases(
        plain,
        Point.KEY_VALUES_DUE,
        Point.KEY_VALUES_SAVED,
        Point.ANNOTATED_WRITTEN,
        Point.LEDGER_FLUSHED,
        Point.SESSION_LEFT,
        Point.SESSION_GIVEN_BACK,
        Point.OUTCOME_DUE,
        Point.OUTCOME_WRITTEN,
    )
    + cases(huge, Point.KEY_VALUES_BEGUN),
    "resumed": cases(half, Point.DELETION_DUE, Point.DELETED, Point.LINKS_REMOVED, Point.FOLDERS_REMOVED)
    + cases(shrunk, Point.LEDGER_TIDIED)
    + cases(loose, Point.LINKING_DUE, Point.LINKED_TO_TARGET),
    "ended": cases(called_off, Point.DELETED, Point.OUTCOME_DUE, Point.OUTCOME_WRITTEN)
    + cases(failing, Point.OUTCOME_DUE, Point.OUTCOME_WRITTEN)
    + cases(given_back, Point.OUTCOME_DUE, Point.OUTCOME_WRITTEN),
    "otherwise": cases(long_lasting, Point.LEASE_EXTENDED)
    + cases(cut_off, Point.LOSS_WRITTEN)
    + cases(commanded, Point.ORDER_CLAIMED, Point.FILESET_MADE)
    + cases(skipping, Point.SKIPPED_WRITTEN)
    + cases(brought_back, Point.GONE_WRITTEN)
    + cases(undone, Point.FILESET_UNDONE, Point.UNDO_WRITTEN),
    "official": cases(
        official,
        Point.ANNOUNCE_DUE,
        Point.ANNOUNCED,
        Point.IMPORTER_STARTED,
        Point.REPORT_TAKEN_UP,
        Point.IMPORTER_ENDED,
        Point.RENAMING_DUE,
        Point.RENAMED,
        Point.WITHDRAWAL_DUE,
        Point.WITHDRAWN,
    ),
    "converted": cases(
        converted,
        Point.CONVERSION_DUE,
        Point.CONTAINER_MADE,
        Point.CONTAINER_STARTED,
        Point.CONTAINER_ENDED,
        Point.CONTAINER_REMOVED,
        Point.CONVERSION_WRITTEN,
        Point.OUTPUT_COPIED,
        Point.OUTPUT_DELIVERED,
        Point.DELIVERY_WRITTEN,
        Point.VERIFY_CALLED,
        Point.LINK_RENEWED,
        Point.LINK_REPLACED,
        Point.ANNOTATED_WRITTEN,
        Point.TEMP_REMOVED,
    )
    + cases(converted_otherwise, Point.CONTAINER_REMOVED, Point.OUTPUT_DELIVERED, Point.LINK_REPLACED)
    + cases(bereft, Point.OUTPUT_DELIVERED, Point.DELIVERY_WRITTEN, Point.FILESET_LINKED, Point.LINK_RENEWED)
    + cases(overtaken, Point.CONVERSION_WRITTEN, Point.OUTPUT_DELIVERED)
    + cases(made_again, Point.GONE_WRITTEN, Point.CONVERSION_WRITTEN),
    "grid": cases(launched, Point.LAUNCH_DUE, Point.LAUNCHED, Point.LET_GO_DUE, Point.LET_GO)
    + cases(scripted, Point.HANDED_OVER, Point.SCRIPT_DONE),
    "services": cases(served, Point.TABLES_READY, Point.TAKEN_IN, Point.SERVICE_SHOWN, Point.WORKER_HIRED)
    + cases(untold, Point.RECONCILED)
    + cases(lapsed, Point.LAPSED_FREED)
    + cases(unburied, Point.DEATH_REPORTED)
    + cases(remembered, Point.FORGOTTEN),
    "taken over": cases(former, Point.DATABASE_TAKEN_OVER),
    "at the end": cases(at_the_end, Point.WORKER_DONE, Point.FAREWELL_DUE, Point.FAREWELL_SAID),
    "swept": cases(
        swept,
        Point.SWEEP_CLAIMED,
        Point.DELETION_DUE,
        Point.DELETED,
        Point.DOUBLES_LINKED,
        Point.DOUBLES_DELETED,
        Point.STRAY_EMPTIED,
        Point.STRAY_REMOVED,
        Point.SWEEP_WRITTEN,
    ),
}


@pytest.fixture(scope="module")
def server(server_template: Path) -> Iterator[ServerHere]:
    options = {
        "step_seconds": 0.01,
        "session_idle_seconds": IDLE_SECONDS,
        "session_sync_seconds": 0.2,
        "processors": 0,
        "script_seconds": SCRIPT_SECONDS,
    }
    with (
        tempfile.TemporaryDirectory(prefix="omero-devserver-") as folder,
        running_here(Path(folder) / "omero", template=server_template, **options) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def doomed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doomed]:
    with doomed_in(tmp_path_factory.mktemp("doomed")) as doomed:
        yield doomed


def have_stand_in(folder: Path, arena: Arena, patch: pytest.MonkeyPatch) -> None:
    """Have a stand-in for OMERO's own importer on this host, and the setting on."""
    made = StandIn(folder / "host")
    patch.setenv("PATH", f"{made.bin}{os.pathsep}{os.environ['PATH']}")
    patch.setenv("OMERODIR", str(made.omerodir))
    patch.setenv("STAND_IN", str(made.control))
    arena.services.configure(importer="omero")


def have_processor(stack: ExitStack, folder: Path, arena: Arena) -> None:
    """Have a Processor on a host of its own, and services launch scripts there."""
    settings: dict[str, object] = {**SETTINGS, "base_dir": str(arena.samples), **WITHOUT_JAVA}
    hosts = Hosts(arena.server, folder / "hosts", database_url=script_role(arena.tracking.url), **settings)
    stack.callback(hosts.end)
    arena.host = hosts.start("adi-one", customize=ARMING, environment={"TMPDIR": str(folder)})
    hosts.install()
    arena.services.configure(dispatch="grid")


def have_foundry(podman: Podman, folder: Path, arena: Arena) -> None:
    """Have services run converters."""
    temp = folder / "inplace"
    temp.mkdir()
    arena.foundry = Foundry(podman, temp)
    arena.services.configure(**arena.foundry.settings)


@dataclass
class Fates:
    """What became of the orders of an arena, by case: how they came to grief, or why not."""

    arena: Arena
    ordered: dict[str, Ordered | BaseException]


@pytest.fixture(scope="module")
def fates(
    request: pytest.FixtureRequest,
    server: ServerHere,
    doomed: Doomed,
    postgres_url: str,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fates]:
    """Let the orders of an arena come to grief whose tests are to run, and one service go on with them."""
    name = request.param
    podman = request.getfixturevalue("podman") if name == "converted" else None  # here: it stays when the arena ends
    every: list[Any] = request.session.items  # `callspec` is not among what pytest says of them
    chosen: list[Case] = [
        item.callspec.params["case"]
        for item in every
        if getattr(item, "callspec", None) and item.callspec.params.get("fates") == name and item.path == request.path
    ]
    folder = tmp_path_factory.mktemp("arena")
    samples, temporary = folder / "samples", folder / "temporary"
    samples.mkdir()
    temporary.mkdir()
    with ExitStack() as stack:
        logins = stack.enter_context(Logins(server.account))
        _, url = stack.enter_context(new_database(postgres_url, template))
        settings = {
            "ingest_tracking_db": url,
            "omero_host": server.account.host,
            "omero_port": server.account.port,
            "omero_user": server.account.user,
            "omero_password": server.account.password,
            "base_dir": str(samples),
            "log_file_path": str(folder / "app.logs"),
            **SETTINGS,
            **({} if name == WITH_JAVA else WITHOUT_JAVA),
        }
        arena = Arena(
            server=server,
            logins=logins,
            doomed=doomed,
            services=Services(folder, settings),
            tracking=Tracking(url),
            samples=samples,
            temporary=temporary,
        )
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("TMPDIR", str(temporary))
        if name == "official":
            have_stand_in(folder, arena, patch)
        if name == "grid":
            have_processor(stack, folder, arena)
        if podman is not None:
            have_foundry(podman, folder, arena)
        ordered: dict[str, Ordered | BaseException] = {}
        for case in chosen:
            try:
                ordered[str(case)] = case.way(arena, case.point)
            except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 (it is that case's own)
                ordered[str(case)] = error
        arena.services.configure(dispatch="local")
        arena.survive(*(each.uuid for each in ordered.values() if isinstance(each, Ordered)))
        yield Fates(arena, ordered)


@pytest.mark.timeout(600)  # the first of each arena has all of its cases die: a minute and a half beside other tests
@pytest.mark.parametrize(
    ("fates", "case"),
    [pytest.param(name, case, id=str(case)) for name, some in ARENAS.items() for case in some],
    indirect=["fates"],
    scope="module",
)
def test_killed_there_each_file_is_in_omero_once_and_nothing_is_left(fates: Fates, case: Case) -> None:
    ordered = fates.ordered[str(case)]
    if isinstance(ordered, BaseException):
        raise ordered
    fates.arena.check(ordered)


def test_no_session_is_left(server: ServerHere) -> None:
    """Last, so that it need not wait for long; those of root are the test's own."""
    root = server.server.store.people.user_id("root")
    sessions = server.server.sessions
    wait_until(lambda: {each.user for each in sessions.all() if each.alive()} <= {root}, what="the end of all sessions of users")


def test_there_is_a_case_for_every_point() -> None:
    assert {case.point for some in ARENAS.values() for case in some} == set(Point)
