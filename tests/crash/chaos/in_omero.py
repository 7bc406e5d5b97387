# SPDX-License-Identifier: GPL-2.0-or-later
"""In OMERO: whether each file of each order is there once, whole, in its place and with its key-values, and nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.crash.chaos.findings import Finding, Promise
from tests.crash.chaos.holdings import Held, Holdings
from tests.crash.chaos.orders import STAIN, Fileset, Order
from tests.crash.chaos.plan import Sort


def check_omero(orders: Sequence[Order], held: Holdings) -> Iterator[Finding]:
    """Compare what OMERO holds with what was ordered."""
    by_order: dict[str, list[Held]] = defaultdict(list)
    known = {order.uuid for order in orders}
    for fileset in held.filesets:
        if len(fileset.marked) == 1 and fileset.marked <= known:
            by_order[next(iter(fileset.marked))].append(fileset)
        else:
            yield Finding(Promise.LEFTOVER, f"not of one order: {fileset}")
    for order in orders:
        yield from _check_order(order, by_order[order.uuid], held)
    yield from _check_files(held)
    yield from (Finding(Promise.LEFTOVER, f"image {image} without a fileset") for image in held.orphans)
    yield from (Finding(Promise.LEFTOVER, f"{what} is on nothing") for what in held.loose)


def check_disk(held: Holdings, repository: Path) -> Iterator[Finding]:
    """Compare the managed repository's folder with what OMERO says is in it, and its links with the files that were ordered."""
    there = {str(place.relative_to(repository)): place for place in repository.rglob("*")}
    for below, place in there.items():
        if below not in held.rows:
            yield Finding(Promise.LEFTOVER, f"OMERO knows nothing of {place}")
        yield from (Finding(Promise.LEFTOVER, what) for what in _strays(place))
    for row, is_folder in held.rows.items():
        if row not in there and not is_folder:  # the row of a folder outlives it, on a real server too, and nobody sees it
            yield Finding(Promise.LEFTOVER, f"OMERO has a row of what is not on disk: {row}")
    logs = {f"{fileset.folder}.log" for fileset in held.filesets}
    for below in there:
        if below.endswith(".log") and below not in logs:
            yield Finding(Promise.LEFTOVER, f"a log of no fileset: {below}")
    links = Counter(str(place.readlink()) for place in there.values() if place.is_symlink())
    wanted = Counter(path for fileset in held.filesets for path in fileset.paths)
    for path, count in (links - wanted).items():
        yield Finding(Promise.LEFTOVER, f"{count} links too many to {path}")
    for path, count in (wanted - links).items():
        yield Finding(Promise.LOST, f"{count} links too few to {path}")


def _strays(place: Path) -> Iterator[str]:
    if place.is_symlink():
        if not place.exists():
            yield f"a link that leads nowhere: {place} to {place.readlink()}"
    elif place.is_dir():
        if not any(place.iterdir()):
            yield f"an empty folder: {place}"
    elif not place.name.endswith(".log"):
        yield f"a file: {place}"


def _check_order(order: Order, found: Sequence[Held], held: Holdings) -> Iterator[Finding]:
    name = f"order {order.uuid} ({order.sort})"
    by_files: dict[frozenset[str], list[Held]] = defaultdict(list)
    for fileset in found:
        by_files[frozenset(fileset.paths)].append(fileset)
    for wanted in order.filesets:
        there = by_files.pop(wanted.files, [])
        for one in there:
            yield from (Finding(*each) for each in _flaws(order, wanted, one, held, name))
        if len(there) > 1:
            yield Finding(Promise.DOUBLED, f"{name}: {len(there)} times: {'; '.join(map(str, there))}")
        if not there and not order.called_off:
            yield Finding(Promise.LOST, f"{name}: not in OMERO: {', '.join(sorted(wanted.files))}")
    for others in by_files.values():
        yield Finding(Promise.DOUBLED, f"{name}: not wanted: {'; '.join(map(str, others))}")


def _flaws(order: Order, wanted: Fileset, one: Held, held: Holdings, name: str) -> Iterator[tuple[Promise, str]]:
    """Say what is wrong with one fileset."""
    series = sorted(one.series.values())
    if series != list(range(wanted.images)):
        promise = Promise.DOUBLED if len(series) > wanted.images else Promise.LEFTOVER
        yield promise, f"{name}: series {series}, not 0 to {wanted.images - 1}: {one}"
    if one.blank:
        yield Promise.LEFTOVER, f"{name}: images {sorted(one.blank)} without statistics: {one}"
    if one.owner != order.lab.user:
        yield Promise.LOST, f"{name}: not of {order.lab.user}: {one}"
    if wanted.plate and len(one.plates) != 1:
        yield _too(len(one.plates)), f"{name}: plates {sorted(one.plates)}: {one}"
    kind, things = ("Plate", sorted(one.plates)) if wanted.plate else ("Image", sorted(one.series))
    for thing in things:
        for promise, what in _flaws_of(order, kind, thing, held):
            yield promise, f"{name}: {kind} {thing} {what}: {one}"


def _flaws_of(order: Order, kind: str, thing: int, held: Holdings) -> Iterator[tuple[Promise, str]]:
    """Say what is wrong with an image or a plate."""
    _, target = order.target
    places = (held.plate_targets if kind == "Plate" else held.image_targets).get(thing, [])
    if places != [target]:
        yield _too(len(places)), f"is in {places}, not in [{target}]"
    annotations = held.values.get((kind, thing), [])
    if len(annotations) != 1:
        yield _too(len(annotations)), f"has its key-values {len(annotations)} times {annotations}"
    for pairs in map(held.pairs.__getitem__, annotations):
        if pairs.get("UUID") != order.uuid:
            yield Promise.LOST, f"has key-values of {pairs.get('UUID')}"
        if order.sort is Sort.VALUES and pairs.get("csv_Stain") != STAIN:
            yield Promise.LOST, "has no csv_Stain"


def _too(count: int) -> Promise:
    """Say which promise is broken where there is not one."""
    return Promise.DOUBLED if count > 1 else Promise.LOST


def _check_files(held: Holdings) -> Iterator[Finding]:
    users: dict[str, list[Held]] = defaultdict(list)
    for fileset in held.filesets:
        for path in fileset.paths:
            users[path].append(fileset)
    for path, filesets in users.items():
        if len(filesets) > 1 and len({frozenset(each.paths) for each in filesets}) > 1:
            yield Finding(Promise.DOUBLED, f"{path} is in {'; '.join(map(str, filesets))}")
