# SPDX-License-Identifier: GPL-2.0-or-later
"""Plates: unsaved plates with wells, fields and runs, from what a reader found, on images that are built already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.model
from omero.rtypes import rint, rstring

from omero_devserver.repository.values import length, moment, paint, text, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.formats.values import Acquisition, Field, Found, Plate, Well
    from omero_devserver.repository.notes import Notes


def plate(told: Plate, found: Found, images: Sequence[Any], notes: Notes, settings: Any) -> Any:
    """Build a plate; its name is the user's choice, the file's, or that of the file itself (recorded: facts 1)."""
    made = omero.model.PlateI()
    chosen = settings.userSpecifiedName.val if settings.userSpecifiedName is not None else ""
    made.name = rstring(chosen or told.name or found.main)
    description = settings.userSpecifiedDescription
    made.description = description if description is not None else text(told.description)
    made.rows = rint(max([told.rows or 1, *(well.row + 1 for well in told.wells)]))
    made.columns = rint(max([told.columns or 1, *(well.column + 1 for well in told.wells)]))
    made.rowNamingConvention, made.columnNamingConvention = text(told.row_convention), text(told.column_convention)
    made.externalIdentifier, made.status = text(told.external_identifier), text(told.status)
    made.wellOriginX, made.wellOriginY = length(told.origin_x), length(told.origin_y)
    notes.link(made, told.notes)
    runs = [_acquisition(run) for run in told.acquisitions]
    for run, described in zip(runs, told.acquisitions, strict=True):
        made.addPlateAcquisition(run)
        notes.link(run, described.notes)
    for well in told.wells:
        placed = _well(well, images, runs)
        made.addWell(placed)
        notes.link(placed, well.notes)
    return made


def _well(told: Well, images: Sequence[Any], runs: Sequence[Any]) -> Any:
    made = omero.model.WellI()
    made.row, made.column, made.type = rint(told.row), rint(told.column), text(told.kind)
    made.externalDescription, made.externalIdentifier = text(told.description), text(told.external_identifier)
    paint(made, told.color)
    for field in told.fields:
        if field.picture is not None:
            made.addWellSample(_field(field, images[field.picture], runs))
    return made


def _field(told: Field, image: Any, runs: Sequence[Any]) -> Any:
    made = omero.model.WellSampleI()
    made.image = image
    made.posX, made.posY, made.timepoint = length(told.x), length(told.y), moment(told.taken)
    if told.acquisition is not None:
        made.plateAcquisition = runs[told.acquisition]
    return made


def _acquisition(told: Acquisition) -> Any:
    made = omero.model.PlateAcquisitionI()
    made.name, made.description = text(told.name), text(told.description)
    made.startTime, made.endTime = moment(told.start), moment(told.end)
    made.maximumFieldCount = whole(told.maximum_fields)
    return made
