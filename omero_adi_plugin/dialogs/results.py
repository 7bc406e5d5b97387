# SPDX-License-Identifier: GPL-2.0-or-later
"""Results: what came of orders, as a message and as the images or plates themselves, which OMERO.web shows as links."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import omero.all
from omero.rtypes import rlist, rlong

from omero_adi_plugin.dialogs.run import Said
from omero_adi_plugin.dialogs.wording import counted, for_people
from omero_adi_plugin.ice import translated
from omero_adi_plugin.orders import FileStep, TargetKind
from omero_adi_plugin.stages import OrderState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.dialogs.request import Place, Request
    from omero_adi_plugin.dialogs.run import Desk
    from omero_adi_plugin.tracking.views import OrderStatus

MOST_SHOWN = 20
"""So many images or plates are put out; the Dataset or Screen, which is put out too, has them all."""

MOST_REASONS = 3
"""Of so many orders it is said why they were not completed."""

THINGS = {TargetKind.DATASET: "image", TargetKind.SCREEN: "plate"}
"""What goes into what."""


def outcome_of(desk: Desk, request: Request, reports: Sequence[OrderStatus | None], uuids: Sequence[str]) -> Said:
    """Return what came of orders that were waited for.

    Parameters
    ----------
    desk : Desk
        Its session works in the group of the target.
    request : Request
        What was ordered.
    reports : sequence of OrderStatus or None
        How each order ended, with its files; None of one that is still under way.
    uuids : sequence of str
        Their numbers.

    Raises
    ------
    OmeroDown, ConnectionBroken, ServerTrouble
        OMERO does not give the images.
    """
    ids = [each for report in reports if report for each in _imported(report, request.place.target.kind)]
    one = len(reports) == 1
    message = _of_one(request, reports[0], uuids[0], ids) if one else _of_several(request, reports, uuids, ids)
    return Said(
        message=message,
        good=all(report is None or report.state is OrderState.COMPLETED for report in reports),
        texts={"Order" if one else "Orders": ", ".join(uuids)},
        objects=_objects(desk, request.place, ids),
    )


def _imported(report: OrderStatus, kind: TargetKind) -> list[int]:
    """Return the ids of the images, or plates, that an order has brought into OMERO."""
    files = [file for file in report.files or () if file.step is not FileStep.SKIPPED]  # its fileset is another order's
    return [each for file in files for each in (file.plates if kind is TargetKind.SCREEN else file.images)]


def _of_one(request: Request, report: OrderStatus | None, uuid: str, ids: Sequence[int]) -> str:
    if report is None:
        return _still(f"Order {uuid}")
    amount = f"{counted(len(ids), THINGS[request.place.target.kind])} in {request.place}"
    said = for_people(report.description or "")
    if report.state is OrderState.COMPLETED and not ids:
        return f"The import completed, and brought nothing new into {request.place}. {said}".strip()
    if report.state is OrderState.COMPLETED:
        [paths] = request.orders
        thing = "file or folder" if any(os.path.isdir(path) for path in paths) else "file"  # noqa: PTH112 (texts)
        many = {"file": "files", "file or folder": "files and folders"}[thing] if len(paths) > 1 else thing
        return f"{len(paths)} of {len(paths)} {many} imported: {amount}. {said}".strip()
    return f"The import {report.state or 'ended'}. {said or 'No reason was given.'}{f' There is {amount}.' if ids else ''}"


def _of_several(request: Request, reports: Sequence[OrderStatus | None], uuids: Sequence[str], ids: Sequence[int]) -> str:
    done = sum(report is not None and report.state is OrderState.COMPLETED for report in reports)
    words = [
        f"{done} of {len(reports)} orders completed: {counted(len(ids), THINGS[request.place.target.kind])} in {request.place}."
    ]
    others = [
        (uuid, report) for uuid, report in zip(uuids, reports, strict=True) if report and report.state is not OrderState.COMPLETED
    ]
    for uuid, report in others[:MOST_REASONS]:
        words.append(f"Order {uuid} {report.state}: {for_people(report.description or 'no reason was given.')}")
    if len(others) > MOST_REASONS:
        words.append(f'{len(others) - MOST_REASONS} more did not complete: "Import Status" says why.')
    if under_way := sum(report is None for report in reports):
        words.append(_still(counted(under_way, "order")))
    return " ".join(words)


def _still(who: str) -> str:
    return f'{who}: still under way when this script had to end. It goes on by itself, and "Import Status" tells more.'


def _objects(desk: Desk, place: Place, ids: Sequence[int]) -> dict[str, Any]:
    """Return the target and the first images or plates, loaded with their names, by the names of their outputs."""
    if not ids:
        return {}
    target = place.target
    entity = THINGS[target.kind].capitalize()
    shown = list(dict.fromkeys(ids))[:MOST_SHOWN]
    found = {thing.getId().getValue(): thing for thing in _load(desk, entity, shown)}
    things = [found[each] for each in shown if each in found]  # somebody may have deleted one by now
    containers = {str(target.kind): thing for thing in _load(desk, str(target.kind), [target.id])}
    return containers | {f"{entity}_{number:02}": thing for number, thing in enumerate(things, start=1)}


def _load(desk: Desk, entity: str, ids: Sequence[int]) -> list[Any]:
    parameters = omero.sys.ParametersI()
    parameters.add("ids", rlist([rlong(each) for each in ids]))
    with translated("loading what was imported", desk.session.where):
        query = f"select t from {entity} t where t.id in (:ids)"  # noqa: S608 (one of four names)
        return list(desk.session.factory.getQueryService().findAllByQuery(query, parameters))
