# SPDX-License-Identifier: GPL-2.0-or-later
"""Graph: the objects of an import, from what the files hold to rows: images, plates, and their links to target and fileset.

How they are made follows a real server (recorded: facts 1; and ome.formats.model.*Processor in OMERO's source).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import omero
import omero.model
from omero.rtypes import rlong

from omero_devserver.repository.images import Images
from omero_devserver.repository.notes import Notes
from omero_devserver.repository.plates import plate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.formats.values import Found, Plate
    from omero_devserver.store.caller import Caller
    from omero_devserver.store.store import Store

_T = TypeVar("_T")
_UNSAVED = 'because the return value of "omero.model.IObject.getId()" is null'


class UnusableTarget(Exception):
    """The target of the import is of a kind that holds no images; the text is a real server's (recorded: facts 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Ids of what was saved; `images` and `pixels` in the order of the series."""

    images: tuple[int, ...]
    pixels: tuple[int, ...]
    plates: tuple[int, ...]


def save(store: Store, who: Caller, found: Found, *, fileset: int, settings: Any) -> Imported:
    """Save everything that a fileset holds, in one transaction.

    Parameters
    ----------
    store : Store
        Where to.
    who : Caller
        Whose import it is.
    found : Found
        What the files hold.
    fileset : int
        Id of the saved fileset.
    settings : omero.grid.ImportSettings
        Name, description, pixel sizes, annotations and target that the user chose.

    Returns
    -------
    Imported
        The images have series 0 (the second step sets it). Without a plate their ids ascend with the series. The ids of a
        plate's images and wells come in no useful order (recorded: facts 1), so that no client learns to rely on one here.

    Raises
    ------
    UnusableTarget
        The target is neither a Dataset nor a Screen.
    omero.ServerError
        As `Store.save`.
    """
    dataset, screen = _target(settings.userSpecifiedTarget)
    notes = Notes(found.notes)
    images = Images(store, found, notes, settings).built()
    for image in images:
        image.fileset = omero.model.FilesetI(rlong(fileset), False)
        if dataset is not None:
            _link(omero.model.DatasetImageLinkI(), dataset, image, image.addDatasetImageLinkToBoth)
    plates = [plate(_mixed(told, fileset), found, images, notes, settings) for told in found.plates]
    for made in plates if screen is not None else ():
        _link(omero.model.ScreenPlateLinkI(), screen, made, made.addScreenPlateLinkToBoth)
    numbers = list(range(len(images)))
    order = _shuffled(numbers, fileset) if plates else numbers
    saved = store.save(who, [*(images[number] for number in order), *plates])
    by_series = dict(zip(order, saved, strict=False))
    return Imported(
        images=tuple(by_series[number].id.val for number in numbers),
        pixels=tuple(by_series[number].copyPixels()[0].id.val for number in numbers),
        plates=tuple(made.id.val for made in saved[len(images) :]),
    )


def _mixed(told: Plate, seed: int) -> Plate:
    return replace(told, wells=tuple(_shuffled(told.wells, seed)))


def _shuffled(things: Sequence[_T], seed: int) -> list[_T]:
    """Put things into an order that is the same at each run and never the one in which they are given."""
    order = list(things)
    random.Random(seed).shuffle(order)  # noqa: S311  any order will do
    return order if order != list(things) else order[::-1]


def _target(target: Any) -> tuple[Any, Any]:
    """Give the Dataset or the Screen; images go into the one and plates into the other; neither takes what is the other's."""
    if target is None:
        return None, None
    if not isinstance(target, omero.model.Dataset | omero.model.Screen):
        raise UnusableTarget(f"Unable to handle target: omero.model.{type(target).__name__}@{id(target):x}")
    if target.id is None:
        raise UnusableTarget(f'Cannot invoke "omero.RLong.getValue()" {_UNSAVED}')
    if isinstance(target, omero.model.Dataset):
        return omero.model.DatasetI(target.id, False), None
    return None, omero.model.ScreenI(target.id, False)


def _link(link: Any, parent: Any, child: Any, add: Any) -> None:
    link.parent, link.child = parent, child
    add(link, False)
