# SPDX-License-Identifier: GPL-2.0-or-later
"""IMetadata: annotations of objects, and the objects of annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.sys
from omero.rtypes import rlist, rlong, rstring

from omero_devserver.model.schema import ENTITIES
from omero_devserver.services import acquisition
from omero_devserver.services.containers import Containers
from omero_devserver.services.query import class_of
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from omero_devserver.wire.servant import Call

_TAG_SET = "openmicroscopy.org/omero/insight/tagset"
#: What annotations come with.
_WITH_DETAILS = (
    " left outer join fetch a.details.creationEvent left outer join fetch a.details.owner left outer join fetch a.file"
)
#: Kinds of objects whose tags and annotations are counted (``MetadataImpl`` in OMERO's source).
_TAGGED = ("Image", "Dataset", "Project", "Screen", "Plate")
_LOGS = (
    "select l.parent.id, o from FilesetJobLink l, JobOriginalFileLink m join m.child o"
    " where m.parent.id = l.child.id and o.mimetype = 'application/omero-log-file' and l.parent.id in (:ids)"
)


class Metadata:
    """Operations of ``omero.api.IMetadata``; a type of annotation includes its subclasses."""

    def loadAnnotations(
        self, call: Call, kind: str, ids: Sequence[int], types: Sequence[str], annotators: Sequence[int], options: Any
    ) -> dict[int, list[Any]]:
        """List the annotations of each object; `types` and `annotators` narrow them, empty means all."""
        link = _links(kind)
        wanted = {name for one in types or [] for name in class_of(one).subs}
        hql = f"select l from {link} l join fetch l.child a{_WITH_DETAILS} where l.parent.id in (:ids) order by l.id"
        found: dict[int, list[Any]] = {identifier: [] for identifier in ids}
        for each in _objects(call, hql, ids=ids) if ids else ():
            annotation = each.child
            right_type = not wanted or type(annotation).__name__.removesuffix("I") in wanted
            right_owner = not annotators or annotation.details.owner.id.val in annotators
            if right_type and right_owner:
                found[each.parent.id.val].append(annotation)
        return found

    def loadAnnotation(self, call: Call, ids: Sequence[int]) -> list[Any]:
        """Load annotations by id; missing ones are left out."""
        hql = f"select a from Annotation a{_WITH_DETAILS} where a.id in (:ids) order by a.id"
        return _objects(call, hql, ids=ids) if ids else []

    def loadSpecifiedAnnotations(
        self, call: Call, kind: str, include: Sequence[str], exclude: Sequence[str], options: Any
    ) -> list[Any]:
        """List the annotations of a type, narrowed to namespaces to include or exclude and to an owner."""
        conditions, parameters = _specified(kind, include, exclude, options)
        return call.server.store.objects(
            call.user, f"select a from Annotation a{_WITH_DETAILS} where {conditions} order by a.id", parameters
        )

    def countSpecifiedAnnotations(
        self, call: Call, kind: str, include: Sequence[str], exclude: Sequence[str], options: Any
    ) -> Any:
        """Count what `loadSpecifiedAnnotations` lists."""
        return rlong(len(self.loadSpecifiedAnnotations(call, kind, include, exclude, options)))

    def loadSpecifiedAnnotationsLinkedTo(
        self,
        call: Call,
        kind: str,
        include: Sequence[str],
        exclude: Sequence[str],
        parent: str,
        ids: Sequence[int],
        options: Any,
    ) -> dict[int, list[Any]]:
        """List, for each object that has any, its annotations of a type, narrowed as in `loadSpecifiedAnnotations`."""
        conditions, parameters = _specified(kind, include, exclude, options)
        if ids:
            parameters.addIds(ids)
            conditions += " and l.parent.id in (:ids)"
        hql = f"select l from {_links(parent)} l join fetch l.child a{_WITH_DETAILS} where {conditions} order by l.id"
        found: dict[int, list[Any]] = {}
        for link in call.server.store.objects(call.user, hql, parameters):
            found.setdefault(link.parent.id.val, []).append(link.child)
        return found

    def loadAnnotationsUsedNotOwned(self, call: Call, kind: str, user: int) -> list[Any]:
        """List the annotations of others that a user has put on objects."""
        found: dict[int, Any] = {}
        parameters = omero.sys.ParametersI().addLong("user", user)
        for tagged in _TAGGED:
            hql = (
                f"select l from {tagged}AnnotationLink l join fetch l.child a left outer join fetch a.details.owner"
                f" where a.details.owner.id <> :user and l.details.owner.id = :user and {_of_class(kind)}"
            )
            found.update((link.child.id.val, link.child) for link in call.server.store.objects(call.user, hql, parameters))
        return list(found.values())

    def countAnnotationsUsedNotOwned(self, call: Call, kind: str, user: int) -> Any:
        """Count what `loadAnnotationsUsedNotOwned` lists."""
        return rlong(len(self.loadAnnotationsUsedNotOwned(call, kind, user)))

    def loadTagContent(self, call: Call, ids: Sequence[int], options: Any) -> dict[int, list[Any]]:
        """List the objects of each tag; Projects and Screens come with what is in them."""
        return {identifier: list(_tagged(call, identifier)) for identifier in ids}

    def getTaggedObjectsCount(self, call: Call, ids: Sequence[int], options: Any) -> dict[int, int]:
        """Count the objects of each tag."""
        return {identifier: sum(len(_ids_with(call, kind, identifier)) for kind in _TAGGED) for identifier in ids}

    def loadTagSets(self, call: Call, options: Any) -> list[Any]:
        """List the tag sets with their tags, and with `orphan` the tags that are in none."""
        part = options.theFilter if options is not None else None
        owner = part.ownerId if part is not None else None
        parameters = omero.sys.ParametersI().addString("set", _TAG_SET)
        mine = ""
        if owner is not None:
            parameters.add("owner", owner)
            mine = " and t.details.owner.id = :owner"
        hql = "select t from TagAnnotation t left outer join fetch t.details.owner left outer join fetch t.annotationLinks l"
        hql += f" left outer join fetch l.child c left outer join fetch c.details.owner where t.ns = :set{mine} order by t.id"
        found: list[Any] = call.server.store.objects(call.user, hql, parameters)
        if options is not None and options.theOptions is not None and options.theOptions.orphan and options.theOptions.orphan.val:
            alone = "not exists (select k from AnnotationAnnotationLink k where k.child = t.id and k.parent.ns = :set)"
            hql = f"select t from TagAnnotation t where (t.ns is null or t.ns <> :set) and {alone}{mine} order by t.id"
            found += call.server.store.objects(call.user, hql, parameters)
        return found

    def loadLogFiles(self, call: Call, kind: str, ids: Sequence[int]) -> dict[int, list[Any]]:
        """List the import logs of filesets or images, for those that have any."""
        name = class_of(kind).name
        if name not in ("Fileset", "Image"):
            raise fault(omero.ApiUsageException, "can load log files only by Fileset or Image")
        filesets = {identifier: [identifier] for identifier in ids}
        if name == "Image" and ids:
            filesets = {}
            of_images = "select i.fileset.id, i.id from Image i where i.id in (:ids) and i.fileset is not null"
            for fileset, image in call.server.store.project(call.user, of_images, omero.sys.ParametersI().addIds(ids)):
                filesets.setdefault(fileset.val, []).append(image.val)
        found: dict[int, list[Any]] = {}
        if filesets:
            logs = call.server.store.project(call.user, _LOGS, omero.sys.ParametersI().addIds(sorted(filesets)))
            for fileset, file in logs:
                for identifier in filesets[fileset.val]:
                    found.setdefault(identifier, []).append(file.val)
        return found

    def loadInstrument(self, call: Call, identifier: int) -> Any:
        """Load an instrument with its parts; null where it is missing."""
        return acquisition.instrument(call, identifier)

    def loadChannelAcquisitionData(self, call: Call, ids: Sequence[int]) -> list[Any]:
        """Load logical channels with the settings that they were acquired with."""
        return acquisition.channels(call, ids) if ids else []


def _links(kind: str) -> str:
    """Find the class of the links from a kind of object to its annotations."""
    entity = class_of(kind)
    if "annotationLinks" not in entity.fields:
        raise fault(omero.ApiUsageException, f"{entity.full_name} cannot be annotated.")
    return entity.fields["annotationLinks"].type


def _of_class(kind: str) -> str:
    entity = class_of(kind)
    if "Annotation" not in entity.bases:
        raise fault(omero.ApiUsageException, f"{entity.full_name} is no annotation.")
    concrete = sorted(name for name in entity.subs if ENTITIES[name].concrete)
    return f"({' or '.join(f'a.class = {name}' for name in concrete)})"


def _specified(kind: str, include: Sequence[str], exclude: Sequence[str], options: Any) -> tuple[str, omero.sys.ParametersI]:
    parameters = omero.sys.ParametersI()
    conditions = [_of_class(kind)]
    part = options.theFilter if options is not None else None
    if part is not None and part.ownerId is not None:
        parameters.add("owner", part.ownerId)
        conditions.append("a.details.owner.id = :owner")
    if include:
        parameters.add("include", rlist([rstring(one) for one in include]))
        conditions.append("a.ns in (:include)")
    if exclude:
        parameters.add("exclude", rlist([rstring(one) for one in exclude]))
        conditions.append("(a.ns is null or a.ns not in (:exclude))")
    return " and ".join(conditions), parameters


def _objects(call: Call, hql: str, *, ids: Sequence[int]) -> list[Any]:
    found: list[Any] = call.server.store.objects(call.user, hql, omero.sys.ParametersI().addIds(ids))
    return found


def _ids_with(call: Call, kind: str, annotation: int) -> list[int]:
    hql = f"select distinct l.parent.id from {kind}AnnotationLink l where l.child.id = :id order by l.parent.id"
    return [row[0].val for row in call.server.store.project(call.user, hql, omero.sys.ParametersI().addId(annotation))]


def _tagged(call: Call, annotation: int) -> Iterator[Any]:
    for kind in _TAGGED:
        ids = _ids_with(call, kind, annotation)
        if not ids:
            continue
        if kind in ("Project", "Screen"):
            yield from Containers().loadContainerHierarchy(call, kind, ids, None)
            continue
        pixels = " left outer join fetch o.pixels p left outer join fetch p.pixelsType" if kind == "Image" else ""
        links = " left outer join fetch o.annotationLinks l left outer join fetch l.child"
        yield from _objects(call, f"select o from {kind} o{links}{pixels} where o.id in (:ids) order by o.id", ids=ids)
