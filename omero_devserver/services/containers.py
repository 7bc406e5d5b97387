# SPDX-License-Identifier: GPL-2.0-or-later
"""IContainer: containers with their contents, and images with their containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.sys

from omero_devserver.model.schema import Field, Kind, UnknownEntityError, find_class
from omero_devserver.services.query import class_of
from omero_devserver.services.split import split_filesets
from omero_devserver.services.update import Update, delete
from omero_devserver.wire.arguments import given, managed
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from omero_devserver.wire.servant import Call

_IMAGES = (
    "select distinct i from Image i left outer join fetch i.details.creationEvent left outer join fetch i.details.updateEvent"
    " left outer join fetch i.pixels p left outer join fetch p.pixelsType left outer join fetch i.format"
)
# How images are reached from each kind of container.
_WITHIN = {
    "Image": "i.id in (:ids)",
    "Dataset": "i.id in (select l.child.id from DatasetImageLink l where l.parent.id in (:ids))",
    "Project": (
        "i.id in (select l.child.id from DatasetImageLink l where l.parent.id in"
        " (select k.child.id from ProjectDatasetLink k where k.parent.id in (:ids)))"
    ),
}
#: What comes with each kind of container, and what besides if the images are wanted too (`leaves`).
_HIERARCHY = {
    "Project": (
        " left outer join fetch o.datasetLinks l left outer join fetch l.child d",
        " left outer join fetch d.imageLinks m left outer join fetch m.child i",
    ),
    "Dataset": ("", " left outer join fetch o.imageLinks m left outer join fetch m.child i"),
    "Screen": (
        " left outer join fetch o.plateLinks l left outer join fetch l.child p left outer join fetch p.plateAcquisitions a",
        " left outer join fetch a.wellSample s left outer join fetch s.image i",
    ),
    "Plate": (
        " left outer join fetch o.plateAcquisitions a",
        " left outer join fetch a.wellSample s left outer join fetch s.image i",
    ),
}
_LEAVES = " left outer join fetch i.pixels x left outer join fetch x.pixelsType left outer join fetch i.format"
#: What is listed beside a kind of container if orphans are wanted: its parts that are in none of that kind.
_ORPHANS = {"Project": ("Dataset", "ProjectDatasetLink"), "Screen": ("Plate", "ScreenPlateLink")}
_PARENTS = (
    "select i from Image i left outer join fetch i.datasetLinks l left outer join fetch l.parent d"
    " left outer join fetch d.projectLinks k left outer join fetch k.parent where i.id in (:ids) order by i.id"
)


class Containers:
    """Operations of ``omero.api.IContainer``; `options` narrows what is found to an owner, a group or a time."""

    def loadContainerHierarchy(self, call: Call, kind: str, ids: Sequence[int], options: Any) -> list[Any]:
        """Load containers with what is in them, all of a kind if there are no ids."""
        name = class_of(kind).name
        if name not in _HIERARCHY:
            wanted = "{Project,Dataset, Screen, Plate}"
            text = f"Class parameter for loadContainerIHierarchy() must be in {wanted}, not class {class_of(kind).full_name}"
            raise fault(omero.ApiUsageException, text)
        leaves, orphans = _option(options, "leaves"), _option(options, "orphan")
        found = _containers(call, name, ids, options, leaves=leaves)
        if orphans and not ids and name in _ORPHANS:
            part, link = _ORPHANS[name]
            alone = f"not exists (select k from {link} k where k.child = o.id)"
            found += _containers(call, part, (), options, leaves=False, condition=alone)
        return found

    def findContainerHierarchies(self, call: Call, kind: str, ids: Sequence[int], options: Any) -> list[Any]:
        """Find what images are in: Projects down to these images, Datasets in no Project, and images in no Dataset."""
        if class_of(kind).name != "Project":
            text = f"Class parameter for findContainerHierarchies() must be in {{Project}}, not class {class_of(kind).full_name}"
            raise fault(omero.ApiUsageException, text)
        if not ids:
            return []
        top, datasets = _raise_level(_objects(call, _PARENTS, ids=ids), "datasetLinks", "imageLinks")
        alone, projects = _raise_level(datasets, "projectLinks", "datasetLinks")
        return [*projects, *alone, *top]

    def getImages(self, call: Call, kind: str, ids: Sequence[int], options: Any) -> list[Any]:
        """List the images in containers, or those with the ids themselves."""
        entity = class_of(kind)
        if entity.name not in _WITHIN:
            raise fault(omero.ApiUsageException, f"Query not implemented for class {entity.full_name}")
        return _images(call, options, _WITHIN[entity.name], ids=ids) if ids else []

    def getUserImages(self, call: Call, options: Any) -> list[Any]:
        """List the images of a user or a group."""
        if not _narrowed(options):
            raise fault(omero.ApiUsageException, "experimenter or group option is required for getUserImages().")
        return _images(call, options)

    def getImagesByOptions(self, call: Call, options: Any) -> list[Any]:
        """List the images that were made within a time."""
        part = options.theFilter if options is not None else None
        if part is None or (part.startTime is None and part.endTime is None):
            raise fault(omero.ApiUsageException, "start or end time option is required for getImagesByOptions().")
        return _images(call, options)

    def getImagesBySplitFilesets(
        self, call: Call, included: Mapping[str, Sequence[int]], options: Any
    ) -> dict[int, dict[bool, list[int]]]:
        """Find filesets of which some images are among the included objects and others are not.

        Returns
        -------
        dict
            By fileset: the ids of those that are (True), and of those that are not.
        """
        return split_filesets(call, {class_of(kind).name: list(ids) for kind, ids in included.items()})

    def getCollectionCount(self, call: Call, kind: str, collection: str, ids: Sequence[int], options: Any) -> dict[int, int]:
        """Count the elements of a collection, as `imageLinks` of `Dataset`, for each id."""
        field = _collection(kind, collection)
        element = f"l.{field.inverse}.id"
        hql = f"select {element}, count(l.id) from {field.type} l where {element} in (:ids) group by {element}"
        counts = dict.fromkeys(ids, 0)
        if ids:
            for identifier, number in call.server.store.project(call.user, hql, omero.sys.ParametersI().addIds(ids)):
                counts[identifier.val] = number.val
        return counts

    def retrieveCollection(self, call: Call, owner: Any, collection: str, options: Any) -> list[Any]:
        """List the elements of a collection of one object."""
        field = _collection(given(owner).ice_staticId(), collection)
        return _objects(call, f"select l from {field.type} l where l.{field.inverse}.id in (:ids)", ids=[managed(owner)])

    def createDataObject(self, call: Call, one: Any, options: Any) -> Any:
        """Save an object; see IUpdate."""
        return Update().saveAndReturnObject(call, one)

    def createDataObjects(self, call: Call, many: Sequence[Any], options: Any) -> list[Any]:
        """Save objects; see IUpdate."""
        return Update().saveAndReturnArray(call, many)

    def updateDataObject(self, call: Call, one: Any, options: Any) -> Any:
        """Save an object; see IUpdate."""
        return Update().saveAndReturnObject(call, one)

    def updateDataObjects(self, call: Call, many: Sequence[Any], options: Any) -> list[Any]:
        """Save objects; see IUpdate."""
        return Update().saveAndReturnArray(call, many)

    def link(self, call: Call, links: Sequence[Any], options: Any) -> list[Any]:
        """Save links; see IUpdate."""
        return Update().saveAndReturnArray(call, links)

    def unlink(self, call: Call, links: Sequence[Any], options: Any) -> None:
        """Delete links: all of them, or none; see IUpdate."""
        delete(call, links)


def _collection(kind: str, collection: str) -> Field:
    """Find a collection by the name of its field, or by the constant that OMERO's classes have for it."""
    try:
        entity = find_class(kind or "")
    except UnknownEntityError:
        raise fault(omero.ApiUsageException, f"{kind} is an unknown type.") from None
    field = entity.fields.get((collection or "").rpartition("_")[2])
    if field is None or field.kind is not Kind.SEQ:
        text = f"{kind}.{collection} is an unknown property on type {kind}"
        raise fault(omero.ApiUsageException, text)
    return field


def _option(options: Any, name: str) -> bool:
    inner = options.theOptions if options is not None else None
    value = getattr(inner, name, None)
    return value is not None and bool(value.val)


def _narrowed(options: Any) -> bool:
    part = options.theFilter if options is not None else None
    return part is not None and (part.ownerId is not None or part.groupId is not None)


def _objects(call: Call, hql: str, *, ids: Sequence[int]) -> list[Any]:
    return call.server.store.objects(call.user, hql, omero.sys.ParametersI().addIds(ids))


def _where(options: Any, alias: str, *conditions: str) -> tuple[str, omero.sys.ParametersI]:
    """Write a where clause of conditions and of what the options narrow."""
    parameters = omero.sys.ParametersI()
    part = options.theFilter if options is not None else None
    every = [condition for condition in conditions if condition]
    for name, path, operator in (
        ("ownerId", "details.owner.id", "="),
        ("groupId", "details.group.id", "="),
        ("startTime", "details.creationEvent.time", ">"),
        ("endTime", "details.creationEvent.time", "<"),
    ):
        value = getattr(part, name, None)
        if value is not None:
            parameters.add(name, value)
            every.append(f"{alias}.{path} {operator} :{name}")
    return (f" where {' and '.join(every)}" if every else ""), parameters


def _images(call: Call, options: Any, condition: str = "", *, ids: Sequence[int] = ()) -> list[Any]:
    where, parameters = _where(options, "i", condition)
    if ids:
        parameters.addIds(ids)
    if options is not None and options.theFilter is not None:
        parameters.theFilter = omero.sys.Filter(limit=options.theFilter.limit, offset=options.theFilter.offset)
    return call.server.store.objects(call.user, f"{_IMAGES}{where} order by i.id", parameters)


def _containers(call: Call, name: str, ids: Sequence[int], options: Any, *, leaves: bool, condition: str = "") -> list[Any]:
    contents, deeper = _HIERARCHY[name]
    fetched = contents + (deeper + _LEAVES if leaves else "")
    where, parameters = _where(options, "o", "o.id in (:ids)" if ids else "", condition)
    if ids:
        parameters.addIds(ids)
    hql = f"select o from {name} o left outer join fetch o.details.creationEvent{fetched}{where} order by o.id"
    return call.server.store.objects(call.user, hql, parameters)


def _raise_level(children: Sequence[Any], up: str, down: str) -> tuple[list[Any], list[Any]]:
    """Turn links to parents around: returns the children without parents, and the parents with these children below them."""
    alone: list[Any] = []
    parents: dict[int, Any] = {}
    links: dict[int, list[Any]] = {}
    for child in children:
        found = [link for link in getattr(child, f"_{up}Seq") if link.parent is not None]
        setattr(child, f"_{up}Seq", [])
        setattr(child, f"_{up}Loaded", False)
        if not found:
            alone.append(child)
        for link in found:
            parents[link.parent.id.val] = link.parent
            links.setdefault(link.parent.id.val, []).append(link)
    for identifier, parent in parents.items():
        setattr(parent, f"_{down}Seq", links[identifier])
        setattr(parent, f"_{down}Loaded", True)
    return alone, list(parents.values())
