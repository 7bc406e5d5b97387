# SPDX-License-Identifier: GPL-2.0-or-later
"""Plan: what `omero adi import --dry-run` prints, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omero_adi_plugin.commands import printing
from omero_adi_plugin.orders import Route
from omero_adi_plugin.pipeline.failures import EntriesUnfit
from omero_adi_plugin.service.rehearsal import rehearse, rehearse_conversions

if TYPE_CHECKING:
    from omero_adi_plugin.errors import AdiError
    from omero_adi_plugin.importers.plans import FilesetPlan
    from omero_adi_plugin.orders import Order
    from omero_adi_plugin.pipeline.dryrun import Foreseen, ToConvert
    from omero_adi_plugin.preprocessing import Preprocessing
    from omero_adi_plugin.settings import Settings


def show(settings: Settings, order: Order, *, skip_existing: bool, as_json: bool) -> None:
    """Print what an order would do.

    Raises
    ------
    EntriesUnfit
        Some of it could not be imported; the rest was printed.
    """
    if order.preprocessing is not None:
        _show_conversions(settings, order, order.preprocessing, as_json=as_json)
        return
    entries: list[Foreseen] = []

    def tell(foreseen: Foreseen) -> None:
        entries.append(foreseen)
        if not as_json:
            printing.note(f"{len(entries)}/{len(order.entries)} {foreseen.plan.entry.path}: {_outcome(foreseen)}")

    version = rehearse(settings, order, skip_existing=skip_existing, tell=tell)
    route = Route.OMERO if settings.importer == "omero" else Route.INPLACE
    if as_json:
        printing.as_json(_document(order, entries, route=route, version=version))
    else:
        _print(order, entries, route=route, version=version)
    failures = [failure for each in entries for failure in each.failures]
    if failures:
        bad = sum(bool(each.failures) for each in entries)
        raise EntriesUnfit(failures=failures, bad=bad, entries=len(entries))


def _show_conversions(settings: Settings, order: Order, asked: Preprocessing, *, as_json: bool) -> None:
    """Print what would be converted; raises `EntriesUnfit` as `show`."""
    entries = rehearse_conversions(settings, order)
    failures = [each.failure for each in entries if each.failure is not None]
    if as_json:
        printing.as_json(_conversions(order, asked, entries))
    else:
        rows = [
            (None, "cannot be converted", each.failure) if each.failure else (size(each.bytes), "convert", each.entry.path)
            for each in entries
        ]
        printing.table(("size", "what", "file or folder"), rows)
        amount = len(entries) - len(failures)
        printing.line(
            f"{amount} to be converted by {asked.container} into {order.target} for {order.user} in {order.group}; nothing was "
            "converted or imported"
        )
        printing.note(
            "Only a conversion tells what is imported: "
            f"`omero adi convert PATH --container {asked.container}` shows it, and imports nothing."
        )
    if failures:
        raise EntriesUnfit(failures=failures, bad=len(failures), entries=len(entries))


def _conversions(order: Order, asked: Preprocessing, entries: list[ToConvert]) -> dict[str, Any]:
    return {
        "target": str(order.target),
        "user": order.user,
        "group": order.group,
        "container": asked.container,
        "parameters": dict(asked.parameters),
        "entries": [
            {
                "entry": each.entry.path,
                "bytes": each.bytes,
                "failures": [] if each.failure is None else [_failure(each.failure)],
            }
            for each in entries
        ],
    }


def _print(order: Order, entries: list[Foreseen], *, route: Route, version: str | None) -> None:
    rows: list[tuple[object, ...]] = []
    for each in entries:
        for fileset in each.plan.filesets:
            state = "there already" if fileset.key in each.there else route.value
            rows.append(
                (len(fileset.files), fileset.images, fileset.plates, size(fileset.bytes), fileset.format, state, fileset.key)
            )
        rows += [(None, None, None, None, None, "cannot be imported", failure) for failure in each.failures]
    printing.table(("files", "images", "plates", "size", "format", "route", "fileset, by one of its files"), rows)
    totals = _totals(entries)
    left_out = f", {totals['left_out']} files left out" if totals["left_out"] else ""
    printing.line(
        f"{totals['filesets']} filesets, {totals['images']} images, {totals['plates']} plates, {size(totals['bytes'])} "
        f"into {order.target} for {order.user} in {order.group}{left_out}; nothing was imported"
    )
    printing.note(f"read with Bio-Formats {version}" if version else "read without Bio-Formats: only TIFF and OME-TIFF")


def _document(order: Order, entries: list[Foreseen], *, route: Route, version: str | None) -> dict[str, Any]:
    return {
        "target": str(order.target),
        "user": order.user,
        "group": order.group,
        "route": route.value,
        "bioformats": version,
        "totals": _totals(entries),
        "entries": [
            {
                "entry": each.plan.entry.path,
                "filesets": [_fileset(fileset, there=fileset.key in each.there) for fileset in each.plan.filesets],
                "failures": [_failure(failure) for failure in each.failures],
                "left_out": [{"path": left.path, "why": left.why} for left in each.plan.left_out],
            }
            for each in entries
        ],
    }


def _fileset(plan: FilesetPlan, *, there: bool) -> dict[str, Any]:
    return {
        "key": plan.key,
        "files": [file.path for file in plan.files],
        "format": plan.format,
        "reader": plan.reader,
        "images": plan.images,
        "plates": plan.plates,
        "bytes": plan.bytes,
        "there": there,
    }


def _failure(failure: AdiError) -> dict[str, Any]:
    return {"error": type(failure).__name__, "why": str(failure)}


def _totals(entries: list[Foreseen]) -> dict[str, int]:
    filesets = [fileset for each in entries for fileset in each.plan.filesets if fileset.key not in each.there]
    return {
        "filesets": len(filesets),
        "files": sum(len(fileset.files) for fileset in filesets),
        "images": sum(fileset.images for fileset in filesets),
        "plates": sum(fileset.plates for fileset in filesets),
        "bytes": sum(fileset.bytes for fileset in filesets),
        "there": sum(len(each.there) for each in entries),
        "failures": sum(len(each.failures) for each in entries),
        "left_out": sum(len(each.plan.left_out) for each in entries),
    }


def _outcome(foreseen: Foreseen) -> str:
    if foreseen.failures:
        return str(foreseen.failures[0])
    if not foreseen.plan.filesets:
        return "belongs to a fileset of another entry"
    filesets = len(foreseen.plan.filesets)
    return "1 fileset" if filesets == 1 else f"{filesets} filesets"


def size(count: int) -> str:
    """Return a number of bytes as people read it: `3.4 MB`, by powers of 1000."""
    number, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if number < 1000:  # noqa: PLR2004 (SI prefixes)
            break
        number, unit = number / 1000, larger
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
