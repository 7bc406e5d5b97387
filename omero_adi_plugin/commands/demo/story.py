# SPDX-License-Identifier: GPL-2.0-or-later
"""Story: what a demo shows of its orders, and whether it came out as it should.

Nothing here believes the service: the images are read back from OMERO as the scientist and compared with what was drawn.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from omero_adi_plugin.commands import printing
from omero_adi_plugin.stages import OrderState
from omero_adi_plugin.tracking.views import order_status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from omero.gateway import BlitzGateway, ImageWrapper

    from omero_adi_plugin.commands.demo.samples import Sample
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.views import OrderStatus

LOOK_SECONDS = 0.1
LIMIT_SECONDS = 120.0
"""How long the orders may take; they need a few seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An order of the demo, how it was placed, and the file that it names."""

    uuid: str
    how: str
    sample: Sample


def follow(database: Database, orders: Sequence[Placed]) -> list[OrderStatus]:
    """Show the stages of orders as they appear, until all have ended or the time is over; return where they stand then."""
    started = time.monotonic()
    shown = [0] * len(orders)
    while True:
        reports = [order_status(database, order.uuid) for order in orders]
        for number, (order, report) in enumerate(zip(orders, reports, strict=True)):
            stages = report.stages or ()
            for row in stages[shown[number] :]:
                printing.line(f"  {time.monotonic() - started:5.1f} s  {order.sample.path.name:24}  {row.stage}")
            shown[number] = len(stages)
        if (
            all(report.state is not None and report.state.ended for report in reports)
            or time.monotonic() - started > LIMIT_SECONDS
        ):
            return reports
        time.sleep(LOOK_SECONDS)


def show_images(gateway: BlitzGateway, images: Sequence[ImageWrapper], namespace: str) -> None:
    """Print what OMERO says about images, and all key-values of the first."""
    rows = [("image", "name", "XxYxZxCxT", "key-values", "UUID among them")]
    for image in images:
        pairs = key_values(image, namespace)
        sizes = (image.getSizeX(), image.getSizeY(), image.getSizeZ(), image.getSizeC(), image.getSizeT())
        rows.append(
            (str(image.getId()), image.getName(), "x".join(map(str, sizes)), str(len(pairs)), pairs.get("UUID", "missing"))
        )
    printing.line(f"In OMERO, as {gateway.getUser().getName()} sees it:")
    _show_columns(rows)
    if images:
        printing.line(f"Key-values of image {images[0].getId()}:")
        _show_columns(list(key_values(images[0], namespace).items()))


def _show_columns(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        printing.line("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_links(repository: Path) -> None:
    """Print the links in the managed repository: no pixel was copied."""
    printing.line("In OMERO's managed repository, links to the files, no copies:")
    for link in sorted(links(repository)):
        printing.line(f"  {link.relative_to(repository)} -> {link.readlink()}")


def links(repository: Path) -> Iterator[Path]:
    """Yield every symbolic link below a folder."""
    for folder, below, files in os.walk(repository):
        for name in (*below, *files):
            path = repository.joinpath(folder, name)
            if path.is_symlink():
                yield path


def images_of(gateway: BlitzGateway, report: OrderStatus) -> list[ImageWrapper]:
    """Return the images of an order that OMERO still has, in the order of their series."""
    ids = [image for file in report.files or () for image in file.images]
    found = (gateway.getObject("Image", image) for image in ids)
    return [image for image in found if image is not None]


def key_values(image: ImageWrapper, namespace: str) -> dict[str, str]:
    """Return the key-values of an image in a namespace."""
    return {key: value for annotation in image.listAnnotations(ns=namespace) for key, value in annotation.getValue()}


def pixels_of(image: ImageWrapper) -> NDArray[np.uint16]:
    """Read all planes of an image at its first time point; shape (z, c, y, x)."""
    sections, channels = image.getSizeZ(), image.getSizeC()
    wanted = [(section, channel, 0) for section in range(sections) for channel in range(channels)]
    planes = np.stack(list(image.getPrimaryPixels().getPlanes(wanted)))
    return planes.reshape(sections, channels, *planes.shape[1:])


def differences(gateway: BlitzGateway, placed: Placed, report: OrderStatus, namespace: str) -> Iterator[str]:
    """Yield a sentence for each thing about an order that is not as it should be."""
    name = placed.sample.path.name
    expected = OrderState.FAILED if placed.sample.images is None else OrderState.COMPLETED
    if report.state is not expected:
        words = report.description or "no description"
        yield f"The order for {name} is {report.state}, not {expected} ({report.stage}: {words})."
        return
    images = images_of(gateway, report)
    drawn = placed.sample.images or ()
    if len(images) != len(drawn):
        yield f"{name} has {len(images)} images in OMERO, not {len(drawn)}."
        return
    if placed.sample.images is None and not report.description:
        yield f"The order for {name} failed without a reason."
    for image, source in zip(images, drawn, strict=True):
        if not np.array_equal(pixels_of(image), source):
            yield f"The pixels of image {image.getId()} are not those of {name}."
        if key_values(image, namespace).get("UUID") != placed.uuid:
            yield f"Image {image.getId()} does not carry the uuid of its order, {placed.uuid}."
