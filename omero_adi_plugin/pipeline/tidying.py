# SPDX-License-Identifier: GPL-2.0-or-later
"""Tidying: removes the folders that converters have written to for an order, when no link in OMERO leads there any more.

Links that still do, because the order ended before its time, are renewed first. What cannot be, keeps its folder: it may be the
only copy. Whether a link leads there is decided by what it names, so that it holds for folders of other hosts, too.
"""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.folders import OURS, clear
from omero_adi_plugin.containers.rooms import remove_unused, temp_of
from omero_adi_plugin.crashpoints import Point, reached
from omero_adi_plugin.errors import ImportInterrupted, PathOutsideRoots
from omero_adi_plugin.importers.inspection import keys_of, visible
from omero_adi_plugin.importers.relinking import leads_into, renew_links
from omero_adi_plugin.logs import event
from omero_adi_plugin.pipeline.roots import Roots
from omero_adi_plugin.preprocessing import PROCESSED_IN_CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from omero_adi_plugin.importers.protocol import Session
    from omero_adi_plugin.orders import LedgerFile, Order
    from omero_adi_plugin.preprocessing import Conversion
    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)

_ROOM = re.compile(r"([0-9]+)-([0-9]+)")
"""What the folder of one run of a converter is called: attempt and number (`containers.rooms`)."""


def tidy(
    order: Order,
    *,
    session: Session,
    attempt: int,
    conversions: Iterable[Conversion],
    files: Iterable[LedgerFile],
    settings: Settings,
    check: Callable[[], None],
    sees_all: bool = False,
) -> bool:
    """Renew the links of an order that lead to folders for a while, and remove these; cut off anywhere, it is simply done again.

    Parameters
    ----------
    order : Order
        That has ended, or is about to; one without converter has nothing to be tidied.
    session : Session
        Of the order's user, or of the service account.
    attempt : int
        The newest that is known of: folders of later ones are left alone.
    conversions, files : iterables of Conversion and of LedgerFile
        What is on record.
    settings : Settings
        All of them.
    check : callable
        Asked before anything is removed; what it raises ends it.
    sees_all : bool
        Whether the session sees whatever there is: else a fileset that it does not see may be somebody else's by now.

    Returns
    -------
    bool
        Whether nothing is left that this host sees; if something is, the log says what and why.

    Raises
    ------
    StorageDown
        What the order's files lie on is not there.
    ConfigurationError
        The managed repository is not to be seen on this host, or may not be written to.
    ConnectionBroken, ServerTrouble, OmeroDown, DiskFull
        As they say.
    """
    if order.preprocessing is None:
        return True
    roots = Roots.of(settings, order.group)
    home, sources = temp_of(order.uuid, settings=settings), _sources(order, roots)
    rooms = [*_rooms_in(home, "", attempt)]
    for source in sources:
        rooms += _rooms_in(source / PROCESSED_IN_CONTAINER, f"{OURS}{order.uuid}-", attempt)
    recorded = {line.fileset for line in files if line.fileset is not None}
    filesets = recorded | keys_of(session, order.uuid).keys()
    folders = [*temporary_paths(order.uuid, settings), *map(str, rooms)]
    why = _renewed(session, filesets, folders, links_of(order, conversions, roots, settings))
    if why is None and not sees_all and (hidden := recorded - visible(session, sorted(recorded))):
        why = f"{len(hidden)} filesets of the order are out of its user's sight, and may have links there"
    if why is None:
        check()
        why = _removed(rooms, home)
        for source in sources:
            remove_unused(source, source / settings.processed_folder)
        reached(Point.TEMP_REMOVED)
    if why is not None:
        event(_log, logging.WARNING, "rooms.kept", order=order.uuid, folder=str(home), why=why)
    return why is None


def temporary_paths(uuid: str, settings: Settings) -> tuple[str, ...]:
    """Return how paths begin at which nothing of an order stays, by the name of the setting and with links resolved."""
    return tuple({f"{folder}/{uuid}/" for folder in (settings.converter_temp, os.path.realpath(settings.converter_temp))})


def links_of(order: Order, conversions: Iterable[Conversion], roots: Roots, settings: Settings) -> dict[str, str]:
    """Return where links have to lead, by where they may still lead to.

    What is on record is believed only as far as files lie where this order may have put them: more people may write there than
    may have any file of the host imported.
    """
    temporary, links = temporary_paths(order.uuid, settings), dict[str, str]()
    for conversion in conversions:
        with suppress(PathOutsideRoots):
            processed = f"{roots.locate(conversion.entry).rpartition('/')[0]}/{settings.processed_folder}/"
            for made in conversion.filesets if conversion.delivered else ():
                for temp, kept in made.places.items():
                    place = roots.locate(kept)
                    if place.startswith(processed) and temp.startswith(temporary) and temp == os.path.normpath(temp):
                        links[temp] = roots.source(place)
    return links


def _renewed(session: Session, filesets: set[int], folders: list[str], links: dict[str, str]) -> str | None:
    """Have no link of filesets lead into folders any more; return what is in the way."""
    leading = leads_into(session, filesets, folders)
    if not leading:
        return None
    try:
        renew_links(session, dict.fromkeys(leading, links))
    except ImportInterrupted as error:
        return f"{error.path}: {error.words}"
    still = [link for links in leads_into(session, leading, folders).values() for link in links]
    return f"{len(still)} links lead there, as '{still[0]}', and nobody knows where else to" if still else None


def _removed(rooms: list[Path], home: Path) -> str | None:
    """Remove rooms, and the folder of those in `converter_temp` if nothing else is in it; return what could not be."""
    left = [room for room in rooms if not clear(room)]
    with suppress(OSError):  # something is in it, or it is not there
        if home.lstat().st_uid == os.geteuid():
            home.rmdir()
    return f"'{left[0]}' could not be removed" if left else None


def _sources(order: Order, roots: Roots) -> list[Path]:
    """Return the folders in which the entries of an order lie, as far as it may have files there."""
    sources: dict[str, None] = {}
    for entry in order.entries:
        with suppress(PathOutsideRoots):
            sources[roots.locate(entry.path).rpartition("/")[0]] = None
    return [Path(source) for source in sources]


def _rooms_in(folder: Path, start: str, attempt: int) -> Iterator[Path]:
    """Give the rooms of an order in a folder; what is called otherwise is not ours, but a former importer's, say."""
    with suppress(OSError):  # it is not there, or not for us
        for path in () if folder.is_symlink() else sorted(folder.iterdir()):
            parsed = _ROOM.fullmatch(path.name.removeprefix(start)) if path.name.startswith(start) else None
            if parsed is not None and int(parsed[1]) <= attempt:
                yield path
