# SPDX-License-Identifier: GPL-2.0-or-later
"""Key-values: what is written on every imported Image or Plate, so that it can be found and its origin is known.

Keys and their meaning are fixed (contract, part 7): other programs find an order's objects by a value equal to its uuid.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from omero_adi_plugin._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from omero_adi_plugin.orders import Order, Route
    from omero_adi_plugin.preprocessing import Preprocessing

LISTED = 10
"""Of more files than this only the first ones are listed, with their number."""

LONGEST_TEXT = 4096
"""No path of Linux is longer (PATH_MAX): what an order has there instead is shortened, or each image would carry it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What has imported a file; our own version goes without saying.

    route:      which way.
    bioformats: the version of Bio-Formats that has read it, None if none has.
    """

    route: Route
    bioformats: str | None


def key_values(
    order: Order,
    *,
    entry: str,
    imported_from: str,
    provenance: Provenance,
    metadata: Iterable[tuple[str, str]] = (),
    said: Iterable[tuple[str, str]] = (),
) -> tuple[tuple[str, str], ...]:
    """Return the key-values for one fileset, in the order in which they are shown.

    Parameters
    ----------
    order : Order
        The order.
    entry : str
        The original path: of an order's file as the producer wrote it, else of the file that was found below the order's folder.
    imported_from : str
        The path that OMERO's links really point to.
    provenance : Provenance
        What has imported it.
    metadata : iterable of pairs of str
        What people wrote down in `metadata.csv`; their keys get `csv_` before them.
    said : iterable of pairs of str
        What a converter says of this output; its keys get `processing_output_` before them.
    """
    named = bool(order.entries) and order.entries[0].name is not None  # all of them have names, or none (`OrderText.read`)
    values = [
        ("UUID", order.uuid),
        ("Filepath", _short(entry)),
        ("Group", order.group),
        ("Username", order.user),
        ("DestinationID", str(order.target.id)),
        ("DestinationType", str(order.target.kind)),
        ("Files", _listed((each.path for each in order.entries), len(order.entries))),
        ("FileNames", _listed((each.name or "" for each in order.entries), len(order.entries)) if named else "[]"),
        ("Imported_from", _short(imported_from)),
        ("Import_Timestamp", datetime.now(UTC).astimezone().isoformat(timespec="seconds")),
        ("ADI_Version", __version__),
    ]
    if provenance.bioformats is not None:
        values.append(("Bioformats_Version", provenance.bioformats))
    values.append(("Import_Route", str(provenance.route)))
    values += _of_preprocessing(order.preprocessing) if order.preprocessing else ()
    values += [(f"processing_output_{key}", value) for key, value in said]
    return *values, *((f"csv_{key}", value) for key, value in metadata)


def _of_preprocessing(asked: Preprocessing) -> tuple[tuple[str, str], ...]:
    """Return what the order asks of a converter, by the columns of its row."""
    return (
        ("preprocessing_id", str(asked.id)),
        ("preprocessing_container", _short(asked.container)),
        ("preprocessing_input_file", _short(asked.input_file)),
        ("preprocessing_output_folder", _short(asked.output_folder)),
        ("preprocessing_alt_output_folder", _short(asked.alt_output_folder or "")),
        ("preprocessing_extra_params", _short(json.dumps(dict(asked.parameters), ensure_ascii=False))),
    )


def _listed(texts: Iterable[str], count: int) -> str:
    """Return a list in JSON; `texts` is not read further than it is shown, as an order of 10,000 files has as many filesets."""
    shown: Sequence[str] = [_short(text) for text in islice(texts, LISTED)]
    listed = json.dumps(shown, ensure_ascii=False)
    return listed if count <= LISTED else f"{listed} and {count - LISTED} more, {count} in all"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
