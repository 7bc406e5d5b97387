# SPDX-License-Identifier: GPL-2.0-or-later
"""In folders: whether what converters have made is kept beside its source, once, and images show it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from omero_adi_plugin.sessions import Logins
from tests.crash.chaos.findings import Finding, Promise
from tests.crash.chaos.holdings import Held, Holdings
from tests.crash.chaos.orders import Order
from tests.crash.chaos.plan import Sort
from tests.fixtures.foundry import shows


def check_kept(orders: Sequence[Order]) -> Iterator[Finding]:
    """Compare what is beside the sources with what converters make of them: copies, which no run makes differently."""
    for order in _converted(orders):
        source = Path(order.entries[0])
        folder, made = source.parent / ".processed", {Path(file).name for each in order.filesets for file in each.files}
        there = {place.name for place in folder.iterdir()} if folder.exists() else set()
        for name in sorted(there - made):
            yield Finding(Promise.LEFTOVER, f"{_named(order)}: {folder / name}")
        for name in sorted(made - there):
            yield Finding(Promise.LOST, f"{_named(order)}: {folder / name} is not there")
        for name in sorted(made & there):
            if (folder / name).read_bytes() != source.read_bytes():
                yield Finding(Promise.LOST, f"{_named(order)}: {folder / name} is not what was made")


def check_pixels_of(orders: Sequence[Order], held: Holdings, logins: Logins) -> Iterator[Finding]:
    """Compare what OMERO shows of converted files with what is in their sources, as their owners."""
    filesets: dict[str, list[Held]] = defaultdict(list)
    for each in held.filesets:
        for uuid in each.marked:
            filesets[uuid].append(each)
    for order in _converted(orders):
        with logins.act_for(order.lab.user, order.lab.group) as session:
            for image in sorted(image for each in filesets[order.uuid] for image in each.series):
                if not shows(session, image, Path(order.entries[0])):
                    yield Finding(Promise.LOST, f"{_named(order)}: image {image} does not show what was made")


def _converted(orders: Sequence[Order]) -> list[Order]:
    return [order for order in orders if order.sort is Sort.CONVERTED]


def _named(order: Order) -> str:
    return f"order {order.uuid} ({order.sort})"
