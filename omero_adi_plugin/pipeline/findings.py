# SPDX-License-Identifier: GPL-2.0-or-later
"""Findings: what can be amiss with something that was imported, and what is to be done about it. Nobody is asked here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from omero_adi_plugin.importers.ondisk import Condition
from omero_adi_plugin.orders import Route, TargetKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omero_adi_plugin.importers.inspection import Inspected
    from omero_adi_plugin.importers.ondisk import Look
    from omero_adi_plugin.orders import LedgerFile
    from omero_adi_plugin.tracking.inventory import EndedOrder

_AGAIN = "`omero adi orders retry {order} --again`"
_ANEW = f"delete the Fileset in OMERO and let {_AGAIN} import it anew"


class Kind(StrEnum):
    """What can be found, in the words of the reports."""

    GONE = "fileset gone"
    ID_TAKEN = "id taken"
    OTHER_ID = "other id"
    MARKER_MISSING = "marker missing"
    IMAGES_MISSING = "images missing"
    HALF = "half imported"
    KEY_VALUES_MISSING = "key-values missing"
    LINK_MISSING = "link missing"
    LINK_DANGLING = "link dangling"
    LINK_TEMPORARY = "link temporary"
    OTHER_SIZE = "other size"
    UNREADABLE = "unreadable"
    OUT_OF_SIGHT = "out of sight"
    OTHER_GROUP = "other group"
    MOVED = "moved"
    NO_LINK = "no link"
    USER = "user"

    @property
    def wrong(self) -> bool:
        """Whether somebody has to do something; else it is only said."""
        return self not in _SAID

    @property
    def remedy(self) -> str:
        """What to do, with `{order}` for its uuid; '' if there is nothing to be done."""
        return _REMEDIES.get(self, "")


_SAID = frozenset({Kind.OUT_OF_SIGHT, Kind.OTHER_GROUP, Kind.MOVED, Kind.NO_LINK, Kind.USER})
_REMEDIES = {
    Kind.GONE: f"If it should be there, {_AGAIN} imports it again.",
    Kind.ID_TAKEN: f"{_AGAIN} imports it again.",
    Kind.OTHER_ID: f"{_AGAIN} puts that on record and imports nothing twice.",
    Kind.MARKER_MISSING: "Before this order is tried again, put the comment back (namespace `omero-adi/order`, text "
    "`{order} 1 {key}`): else `--again` would import it twice.",
    Kind.IMAGES_MISSING: f"If they should be there, {_ANEW}.",
    Kind.HALF: f"Some of its images show a wrong picture: {_ANEW}.",
    Kind.KEY_VALUES_MISSING: "`omero adi orders retry {order}` writes them again and imports nothing.",
    Kind.LINK_MISSING: f"If the source is still there, put the link back (`ln -s`, as OMERO's account); else {_ANEW}.",
    Kind.LINK_DANGLING: "Put the file back, or let the link lead to where it is now (`ln -sfn`, as OMERO's account).",
    Kind.LINK_TEMPORARY: "`omero adi orders retry {order}` has it lead to where the file is kept, and imports nothing.",
    Kind.OTHER_SIZE: f"The images may be wrong. Put the file back as it was; if it is to stay as it is, {_ANEW}.",
    Kind.UNREADABLE: "Run this as the account that runs OMERO.server; see to the file system.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it was recorded.

    words:   what is the matter, a sentence.
    order:   its uuid; None: it is about all orders of this user in this group.
    entry:   the path of the order that it belongs to.
    output:  what a converter made of the entry, None without converter.
    key, fileset: as the ledger has them.
    file:    its place in the managed repository, if it is about one file.
    """

    kind: Kind
    user: str
    words: str
    order: str | None = None
    entry: str | None = None
    output: str | None = None
    key: str | None = None
    fileset: int | None = None
    file: str | None = None

    @property
    def remedy(self) -> str:
        """What to do."""
        return self.kind.remedy.format(order=self.order, key=self.key)


def carries(found: Inspected, order: EndedOrder, line: LedgerFile) -> bool:
    """Say whether a fileset carries the marker of what the ledger calls by its id."""
    by_fileset = line.route is Route.INPLACE  # OMERO's importer marks all images of an order alike
    return any(marker.uuid == order.uuid and (marker.key == line.key or not by_fileset) for marker in found.markers)


def lost_its_marker(found: Inspected, line: LedgerFile, kept: frozenset[str]) -> bool:
    """Say whether a fileset is what the ledger calls by its id, by its files, and only its marker is gone.

    `kept`: of what a converter has made, where that is kept; its key is no path.
    """
    return not found.markers and any(file.source == line.key or file.source in kept for file in found.files)


def finding(kind: Kind, order: EndedOrder, line: LedgerFile, words: str, file: str | None = None) -> Finding:
    """Return a finding about a line of the ledger; `file`: about one file of it."""
    return Finding(
        kind=kind,
        user=order.user,
        words=words,
        order=order.uuid,
        entry=line.entry,
        output=line.output,
        key=line.key,
        fileset=line.fileset,
        file=file,
    )


def compared(order: EndedOrder, line: LedgerFile, found: Inspected) -> Iterator[Finding]:
    """Give what is amiss in OMERO with a fileset that is there."""
    images, name = found.images, f"Fileset {found.fileset}"
    recorded = (len(line.images), min(line.images, default=0), max(line.images, default=0))
    if line.images and (images.count, images.first, images.last) != recorded:
        words = f"{name} has other images than those on record."
        if images.count < recorded[0]:
            words = f"Not in OMERO any more: {recorded[0] - images.count} of {recorded[0]} images of {name}."
        yield finding(Kind.IMAGES_MISSING, order, line, words)
    elif images.series != images.count:
        words = f"OMERO never finished {name}, or was restored from a backup that was made while it was imported."
        yield finding(Kind.HALF, order, line, words)
    if found.group != order.group:
        words = f"{name} lies in the group '{found.group}' now, not in '{order.group}'."
        yield finding(Kind.OTHER_GROUP, order, line, words)
    target = order.target
    screen = target is not None and target.kind is TargetKind.SCREEN
    amount = len(found.plates) if screen else images.count
    things = f"of {amount} {'plates' if screen else 'images'} of {name}"
    if target is not None and (inside := found.containers.get(target.id, 0)) < amount:
        others = ", ".join(f"{target.kind}:{each}" for each in sorted(found.containers) if each != target.id)
        now = f"in {others}" if others else f"in no {target.kind}"
        words = f"Not in {target} any more: {amount - inside} {things}; now {now}."
        yield finding(Kind.MOVED, order, line, words)
    if (annotated := found.annotated.get(order.uuid, 0)) < amount:
        words = f"Without key-values of the order: {amount - annotated} {things}."
        yield finding(Kind.KEY_VALUES_MISSING, order, line, words)


def of_file(order: EndedOrder, line: LedgerFile, look: Look, *, temporary: tuple[str, ...] = ()) -> Finding | None:
    """Return what is the matter with a file in the managed repository.

    `temporary`: how paths begin at which nothing stays; what OMERO recorded as its source is where it is kept.
    """
    place, file = f"'{look.file.location}'", look.file
    told: tuple[Kind, str]
    match look.condition:
        case Condition.AS_RECORDED if look.leads_to is not None and look.leads_to.startswith(temporary):
            told = Kind.LINK_TEMPORARY, f"{place} leads to '{look.leads_to}', which will not stay, and not to '{file.source}'."
        case Condition.AS_RECORDED:
            return None
        case Condition.MISSING:
            told = Kind.LINK_MISSING, f"{place} is missing; it led to '{file.source}'."
        case Condition.DANGLING:
            kept = "" if line.output is None or file.source == look.leads_to else f"; it was kept as '{file.source}'"
            told = Kind.LINK_DANGLING, f"{place} leads to '{look.leads_to}', which is not there{kept}."
        case Condition.OTHER_SIZE:
            leads = f", which leads to '{look.leads_to}'," if look.leads_to is not None else ""
            told = Kind.OTHER_SIZE, f"{place}{leads} has {look.bytes} bytes; when it was imported there were {file.bytes}."
        case Condition.NO_LINK:
            told = Kind.NO_LINK, f"{place} is a file of its own, of the right size, and no link to '{file.source}' any more."
        case Condition.UNREADABLE:
            leads = f", which leads to '{look.leads_to}'," if look.leads_to is not None else ""
            told = Kind.UNREADABLE, f"{place}{leads} cannot be looked at: {look.why}."
    return finding(told[0], order, line, told[1], file=str(file.location))
