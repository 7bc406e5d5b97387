# SPDX-License-Identifier: GPL-2.0-or-later
"""Holdings: what OMERO holds at the end, asked for as its administrator, in all groups."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from omero_adi_plugin.orders import MARKER_NAMESPACE, Marker
from omero_adi_plugin.sessions import OmeroSession

VALUES_NAMESPACE = "omeroadi.import"


@dataclass(kw_only=True)
class Held:
    """One fileset in OMERO.

    folder:   of its files, in the managed repository; its log lies beside it.
    paths:    of its files, as the client had them.
    marked:   the orders that it says it is of, on itself or on its images.
    series:   of each of its images, by id.
    blank:    its images that have a channel without statistics.
    plates:   that its images lie on.
    """

    id: int
    owner: str
    folder: str
    paths: list[str] = field(default_factory=list)
    marked: set[str] = field(default_factory=set)
    series: dict[int, int] = field(default_factory=dict)
    blank: set[int] = field(default_factory=set)
    plates: set[int] = field(default_factory=set)

    def __str__(self) -> str:
        orders = ", ".join(sorted(self.marked)) or "nobody"
        return f"fileset {self.id} of {self.owner} ({orders}; {', '.join(self.paths)}; images {sorted(self.series)})"


@dataclass(kw_only=True)
class Holdings:
    """All of it.

    targets:    of images, the Datasets; of plates, the Screens.
    values:     the map annotations on each image and plate, ("Image", id) or ("Plate", id).
    pairs:      keys and values of each of these.
    loose:      comments and map annotations of ours that are on nothing: what each says.
    orphans:    images that belong to no fileset.
    rows:       paths of what has a row in the managed repository, below its root, and whether that is of a folder.
    """

    filesets: list[Held]
    image_targets: dict[int, list[int]]
    plate_targets: dict[int, list[int]]
    values: dict[tuple[str, int], list[int]]
    pairs: dict[int, dict[str, str]]
    loose: list[str]
    orphans: list[int]
    rows: dict[str, bool]


class _Asking:
    """Questions to OMERO about everything that it holds."""

    def __init__(self, session: OmeroSession) -> None:
        self._session = session

    def ask(self, hql: str, **parameters: object) -> list[list[Any]]:
        return self._session.query(hql, all_groups=True, **parameters)

    def filesets(self) -> dict[int, Held]:
        rows = self.ask("select f.id, o.omeName, f.templatePrefix from Fileset f join f.details.owner o order by f.id")
        found = {fileset: Held(id=fileset, owner=owner, folder=folder.strip("/")) for fileset, owner, folder in rows}
        for fileset, path in self.ask("select e.fileset.id, e.clientPath from FilesetEntry e"):
            found[fileset].paths.append(f"/{path.lstrip('/')}")
        on_filesets = "select l.parent.id, a.textValue from FilesetAnnotationLink l join l.child a where a.ns = :ns"
        on_images = "select i.fileset.id, a.textValue from ImageAnnotationLink l join l.parent i join l.child a where a.ns = :ns"
        for fileset, text in self.ask(on_filesets, ns=MARKER_NAMESPACE) + self.ask(on_images, ns=MARKER_NAMESPACE):
            marker = Marker.parse(text)
            found[fileset].marked.add(marker.uuid if marker else f"nonsense: {text}")
        return found

    def add_images(self, filesets: dict[int, Held]) -> list[int]:
        """Add images to their filesets; return those that have none."""
        of_image: dict[int, Held] = {}
        orphans = []
        for image, fileset, series in self.ask("select i.id, f.id, i.series from Image i left join i.fileset f"):
            if fileset is None:
                orphans.append(image)
            else:
                of_image[image] = filesets[fileset]
                filesets[fileset].series[image] = series
        for [image] in self.ask("select distinct p.image.id from Channel c join c.pixels p where c.statsInfo is null"):
            of_image[image].blank.add(image)
        for image, plate in self.ask("select ws.image.id, p.id from WellSample ws join ws.well w join w.plate p"):
            of_image[image].plates.add(plate)
        return orphans

    def targets(self, links: str) -> dict[int, list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for child, parent in self.ask(f"select l.child.id, l.parent.id from {links} l"):
            found[child].append(parent)
        return found

    def values(self) -> dict[tuple[str, int], list[int]]:
        found: dict[tuple[str, int], list[int]] = defaultdict(list)
        for kind in ("Image", "Plate"):
            links = f"select l.parent.id, l.child.id from {kind}AnnotationLink l join l.child a where a.ns = :ns"
            for parent, child in self.ask(links, ns=VALUES_NAMESPACE):
                found[kind, parent].append(child)
        return found

    def pairs(self) -> dict[int, dict[str, str]]:
        found: dict[int, dict[str, str]] = defaultdict(dict)
        hql = "select a.id, v.name, v.value from MapAnnotation a join a.mapValue v where a.ns = :ns"
        for annotation, name, value in self.ask(hql, ns=VALUES_NAMESPACE):
            found[annotation][name] = value
        return found

    def loose(self) -> list[str]:
        found = []
        for kind, words, ns, places in (
            ("MapAnnotation", "a.id", VALUES_NAMESPACE, ("Image", "Plate")),
            ("CommentAnnotation", "a.textValue", MARKER_NAMESPACE, ("Image", "Fileset")),
        ):
            links = (f"select l.child.id from {place}AnnotationLink l join l.child a where a.ns = :ns" for place in places)
            linked = {annotation for hql in links for [annotation] in self.ask(hql, ns=ns)}
            rows = self.ask(f"select a.id, {words} from {kind} a where a.ns = :ns", ns=ns)
            found += [f"{kind} {annotation} '{text}'" for annotation, text in rows if annotation not in linked]
        return found

    def rows(self) -> dict[str, bool]:
        found = {}
        for [repository] in self.ask("select distinct o.repo from FilesetEntry e join e.originalFile o"):
            hql = "select o.path, o.name, o.mimetype from OriginalFile o where o.repo = :repo"
            for path, name, mimetype in self.ask(hql, repo=repository):
                found[f"{path}{name}".strip("/")] = mimetype == "Directory"
        return found


def holdings(session: OmeroSession) -> Holdings:
    """Ask for everything at once."""
    asking = _Asking(session)
    filesets = asking.filesets()
    return Holdings(
        orphans=asking.add_images(filesets),
        filesets=list(filesets.values()),
        image_targets=asking.targets("DatasetImageLink"),
        plate_targets=asking.targets("ScreenPlateLink"),
        values=asking.values(),
        pairs=asking.pairs(),
        loose=asking.loose(),
        rows=asking.rows(),
    )
