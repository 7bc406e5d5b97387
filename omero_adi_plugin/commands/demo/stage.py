# SPDX-License-Identifier: GPL-2.0-or-later
"""Stage: the demo itself, from empty folder to curtain."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.demo import story
from omero_adi_plugin.commands.demo.lab import Lab, connected, furnish
from omero_adi_plugin.commands.demo.picture import write_picture
from omero_adi_plugin.commands.demo.podman import IMAGE, CannotRun, start_podman
from omero_adi_plugin.commands.demo.postgres import Postgres, runs_as_root, start_postgres
from omero_adi_plugin.commands.demo.producers import order_by_client, order_by_script, order_by_sql
from omero_adi_plugin.commands.demo.samples import Sample, write_archive, write_samples
from omero_adi_plugin.commands.demo.servers import Omero, program, start_omero, start_service, write_settings
from omero_adi_plugin.commands.demo.story import Placed
from omero_adi_plugin.errors import AdiError
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking import migrate
from omero_adi_plugin.tracking.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from omero_adi_plugin.commands.demo.folder import Folder
    from omero_adi_plugin.commands.demo.podman import Podman
    from omero_adi_plugin.commands.demo.processes import Processes
    from omero_adi_plugin.tracking.views import OrderStatus


class DemoDiffers(AdiError):
    """The demo ran to its end, and something did not come out as it should."""

    def __init__(self, *, differences: Sequence[str], logs: Path) -> None:
        super().__init__("\n".join(["The demo did not come out as it should:", *differences, f"The logs are in '{logs}'."]))
        self.differences, self.logs = tuple(differences), logs


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything that runs and lies ready before the first order is placed.

    archive: what only a converter can make images of; None: none can run here.
    """

    folder: Folder
    postgres: Postgres
    omero: Omero
    lab: Lab
    samples: tuple[Sample, Sample, Sample]
    archive: Sample | None


def set_scene(folder: Folder, processes: Processes) -> Scene:
    """Start all servers, and lay out what can be imported.

    Raises
    ------
    DidNotStart
        With the end of the log of whichever it was.
    """
    for path in (folder.data, folder.logs):
        path.mkdir()
    with step("PostgreSQL"):
        postgres = start_postgres(folder, processes)
    with step("development OMERO server"):
        omero = start_omero(folder, processes)
    with step("tables"):
        migrate.upgrade(postgres.url)
    with step("a group, a scientist, a Dataset and a Screen in OMERO"):
        lab = furnish(omero)
    with step("files to import"):
        samples = write_samples(folder.data)
    podman = _podman(folder, processes)
    archive = None if podman is None else write_archive(folder.data, samples[0])
    with step("service (omero adi serve)"):
        write_settings(folder, omero=omero, database_url=postgres.url, podman=podman)
        start_service(folder, processes)
    return Scene(folder=folder, postgres=postgres, omero=omero, lab=lab, samples=samples, archive=archive)


def _podman(folder: Folder, processes: Processes) -> Podman | None:
    """Start podman, with a converter; where it cannot run, say so: all else can be shown without it."""
    try:
        with step("podman, and a converter"):
            return start_podman(folder, processes)
    except CannotRun as error:
        printing.line(f"  No order with a converter is shown, because {error}.")
        return None


def play(scene: Scene) -> None:
    """Place the orders, show what becomes of them, and look whether that is right.

    Raises
    ------
    DemoDiffers
        It is not.
    """
    orders = _place_orders(scene)
    database = Database(scene.postgres.url, name="adi demo")
    try:
        reports = story.follow(database, orders)
    finally:
        database.close()
    namespace = str(Settings.model_fields["annotation_namespace"].default)
    with connected(scene.omero, scene.lab.user, scene.lab.password) as gateway:
        printing.line("")
        images = [image for report in reports for image in story.images_of(gateway, report)]
        story.show_images(gateway, images, namespace)
        printing.line("")
        story.show_links(scene.omero.repository)
        differences = [
            sentence
            for order, report in zip(orders, reports, strict=True)
            for sentence in story.differences(gateway, order, report, namespace)
        ]
        _show_refusals(orders, reports)
        if images:
            picture = scene.folder.path / "cells.png"
            write_picture(story.pixels_of(images[0]), picture)
            printing.line("")
            printing.line(f"Image {images[0].getId()} as OMERO holds it: {picture}")
    if differences:
        raise DemoDiffers(differences=differences, logs=scene.folder.logs)
    printing.line("All as it should be: every pixel that OMERO returned equals the one that was drawn.")


def _place_orders(scene: Scene) -> list[Placed]:
    cells, three, broken = scene.samples
    with step("three orders: one by SQL, two by a script"):
        by_script = "by a script with IngestionTracking"
        orders = [
            Placed(uuid=order_by_sql(scene.postgres, scene.lab, cells.path), how="by SQL", sample=cells),
            *(
                Placed(uuid=order_by_script(scene.folder, scene.postgres, scene.lab, sample.path), how=by_script, sample=sample)
                for sample in (three, broken)
            ),
        ]
    if scene.archive is not None:
        with step("an order with a converter, by submit_order"):
            uuid = order_by_client(scene.postgres, scene.lab, scene.archive.path, container=IMAGE)
            orders.append(Placed(uuid=uuid, how=f"to be converted by {IMAGE}", sample=scene.archive))
    printing.line("")
    for order in orders:
        printing.line(f"  {order.sample.path.name:24}  ordered {order.how}, {order.uuid}")
    printing.line("")
    return orders


def _show_refusals(orders: Sequence[Placed], reports: Sequence[OrderStatus]) -> None:
    for order, report in zip(orders, reports, strict=True):
        if order.sample.images is None:
            printing.line("")
            printing.line(f"What the scientist reads about {order.sample.path.name}, which was cut off:")
            printing.line(f"  {report.stage}: {report.description}")


def write_env(scene: Scene) -> None:
    """Write what a shell needs to work with the demo by hand: lines `export NAME=value`, nothing in them to expand."""
    lab, omero = scene.lab, scene.omero
    values = {
        "OMERO_HOST": omero.host,
        "OMERO_PORT": omero.port,
        "OMERO_USER": "root",
        "OMERO_PASSWORD": omero.root_password,
        "INGEST_TRACKING_DB_URL": scene.postgres.url,
        "ADI_CONFIG": scene.folder.settings,
        "ADI_DATA": scene.folder.data,
        "ADI_DATASET": lab.dataset,
        "ADI_SCREEN": lab.screen,
        "ADI_USER": lab.user,
        "ADI_PASSWORD": lab.password,
        "ADI_GROUP": lab.group,
    }
    lines = (f"export {name}={shlex.quote(str(value))}\n" for name, value in values.items())
    scene.folder.write_private(scene.folder.env.name, "".join(lines))


def say_what_next(scene: Scene) -> None:
    """Print what can be tried now."""
    psql = shlex.quote(shutil.which("psql") or str(scene.postgres.programs / "psql"))
    omero = shlex.quote(program("omero"))
    adi = f"{shlex.quote(sys.executable)} -m omero_adi_plugin"
    newest = "SELECT timestamp, stage, uuid, description FROM imports ORDER BY id"
    lines = [
        "",
        "All of it goes on running. To work with it:",
        f"  . {shlex.quote(str(scene.folder.env))}",
        f'  {omero} login -s "$OMERO_HOST" -p "$OMERO_PORT" -u "$ADI_USER" -w "$ADI_PASSWORD"',
        f'  {psql} "$INGEST_TRACKING_DB_URL" -c "{newest}"',
        f'  {adi} import "$ADI_DATA/cells.ome.tif" --into "Dataset:$ADI_DATASET" --for "$ADI_USER" --wait',
        *([f'  {adi} convert "$ADI_DATA/{scene.archive.path.name}" --container {IMAGE}'] if scene.archive else []),
        f"  {adi} orders list",
        f"  {adi} demo --stop        (or: make stop)",
    ]
    if runs_as_root():
        lines.append("You are root, and `omero` refuses root: log in with it from another account. The others work.")
    for line in lines:
        printing.line(line)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    started = time.monotonic()
    print(f"{what} … ", end="", flush=True)
    try:
        yield
    except BaseException:
        print("not done", flush=True)
        raise
    print(f"{time.monotonic() - started:.1f} s", flush=True)
