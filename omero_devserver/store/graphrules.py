# SPDX-License-Identifier: GPL-2.0-or-later
"""Graph rules: what goes with what when rows are deleted, moved to another group or given to another user.

The rules are tables of (entity, reference). Facts: the recordings of a real server (facts 10), and where those are silent the
rule files of OMERO's blitz server (blitz-graph-rules.xml, package ome.services.graphs). Everything that differs between
deleting, moving and giving is in `delete`, `move` and `give`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from omero_devserver.model.schema import ENTITIES, Entity, find_class
from omero_devserver.store.errors import BadOption


@dataclass(frozen=True, slots=True)
class Tie:
    """A reference from rows of an entity."""

    name: str
    reference: str

    @property
    def entity(self) -> Entity:
        """Whose reference it is."""
        return ENTITIES[self.name]

    @property
    def target(self) -> Entity:
        """What it refers to."""
        return ENTITIES[self.entity.fields[self.reference].type]


#: The row goes with what it refers to.
_PARTS = (
    ("Channel", "logicalChannel"),
    ("Channel", "pixels"),
    ("ChannelBinding", "renderingDef"),
    ("CodomainMapContext", "channelBinding"),
    ("Detector", "instrument"),
    ("DetectorSettings", "detector"),
    ("Dichroic", "instrument"),
    ("FileAnnotation", "file"),
    ("FilesetEntry", "fileset"),
    ("FilesetJobLink", "parent"),
    ("Filter", "instrument"),
    ("FilterSet", "instrument"),
    ("Image", "fileset"),
    ("LightSettings", "lightSource"),
    ("LightSource", "instrument"),
    ("MicrobeamManipulation", "experiment"),
    ("OTF", "instrument"),
    ("Objective", "instrument"),
    ("ObjectiveSettings", "objective"),
    ("Pixels", "image"),
    ("PlaneInfo", "pixels"),
    ("PlateAcquisition", "plate"),
    ("ProjectionDef", "renderingDef"),
    ("RenderingDef", "pixels"),
    ("Shape", "roi"),
    ("Thumbnail", "pixels"),
    ("Well", "plate"),
    ("WellSample", "plateAcquisition"),
    ("WellSample", "well"),
)
#: What the row refers to goes with it.
_NAMED = (
    ("FilesetJobLink", "child"),
    ("Filter", "transmittanceRange"),
    ("FilterSet", "dichroic"),
    ("Instrument", "microscope"),
    ("Laser", "pump"),
    ("OTF", "filterSet"),
    ("OTF", "objective"),
    ("RenderingDef", "quantization"),
)
#: What the rows refer to goes with the last of them.
_SHARED = (
    ("Channel", "logicalChannel"),
    ("Channel", "statsInfo"),
    ("FileAnnotation", "file"),
    ("FilesetEntry", "originalFile"),
    ("Image", "experiment"),
    ("Image", "fileset"),
    ("Image", "imagingEnvironment"),
    ("Image", "instrument"),
    ("Image", "stageLabel"),
    ("LightPathEmissionFilterLink", "parent"),
    ("LightPathExcitationFilterLink", "parent"),
    ("LogicalChannel", "lightPath"),
    ("PixelsOriginalFileMap", "parent"),
    ("Roi", "source"),
    ("Shape", "transform"),
    ("WellReagentLink", "child"),
    ("WellSample", "image"),
    *((e.name, "child") for e in ENTITIES.values() if e.link and e.name.endswith("AnnotationLink")),
)
#: The row goes with what it refers to if the request may have it and no link holds it.
_CONTAINED = (("Folder", "parentFolder"), ("Reagent", "screen"), ("Roi", "image"))
#: Links whose child goes with the last parent.
_CONTENTS = (
    "DatasetImageLink",
    "FolderImageLink",
    "FolderRoiLink",
    "JobOriginalFileLink",
    "ProjectDatasetLink",
    "ScreenPlateLink",
    "WellReagentLink",
    *(e.name for e in ENTITIES.values() if e.link and e.name.endswith("AnnotationLink")),
)
#: Classes that a request may name, with their subclasses ("IAnnotationLink" stands for all links to annotations).
_TRANSFERABLE = frozenset(
    {
        *("Annotation", "Dataset", "Experiment", "Fileset", "Folder", "Image", "Instrument", "Job", "Link", "OriginalFile"),
        *("Plate", "Project", "RenderingDef", "Roi", "Screen", "Thumbnail"),
    }
)
_ANY_LINK = frozenset(
    {
        *("DatasetImageLink", "FolderImageLink", "FolderRoiLink", "IAnnotationLink", "JobOriginalFileLink"),
        *("ProjectDatasetLink", "ScreenPlateLink", "WellReagentLink"),
    }
)
_LOOKED_AT = (
    _TRANSFERABLE
    | _ANY_LINK
    | {
        *("AffineTransform", "Channel", "ChannelBinding", "CodomainMapContext", "ExternalInfo", "FilesetEntry"),
        *("FilesetJobLink", "LogicalChannel", "MicrobeamManipulation", "Pixels", "PixelsOriginalFileMap", "PlaneInfo"),
        *("PlateAcquisition", "ProjectionDef", "QuantumDef", "Reagent", "Shape", "StatsInfo", "Well", "WellSample"),
    }
)
#: By request: the classes it may name (OMERO's source: the lists of targets beside the rules).
TARGETS = {
    "Delete2": (_LOOKED_AT - {"ChannelBinding", "CodomainMapContext", "FilesetEntry", "Pixels", "PlaneInfo", "QuantumDef"})
    | {
        *("DetectorSettings", "FilterSetEmissionFilterLink", "FilterSetExcitationFilterLink", "GroupExperimenterMap"),
        *("ImagingEnvironment", "LightPathEmissionFilterLink", "LightPathExcitationFilterLink", "LightSettings"),
        *("Microscope", "Namespace", "ObjectiveSettings", "ShareMember", "StageLabel", "TransmittanceRange"),
    },
    "Chgrp2": _TRANSFERABLE,
    "Chmod2": frozenset({"ExperimenterGroup"}),
    "Chown2": _TRANSFERABLE | _ANY_LINK | {"Reagent"},
    "DiskUsage2": _LOOKED_AT | {"Experimenter", "ExperimenterGroup"},
    "Duplicate": _LOOKED_AT - {"FilesetEntry", "PixelsOriginalFileMap", "ProjectionDef"},
    "FindChildren": _LOOKED_AT,
    "FindParents": _LOOKED_AT,
}


def may_be_target(request: str, entity: Entity) -> bool:
    """Whether a request of that class may name rows of an entity."""
    annotating = "IAnnotationLink" in TARGETS[request] and entity.link and entity.name.endswith("AnnotationLink")
    return annotating or not TARGETS[request].isdisjoint(entity.bases)


def _ties(pairs: tuple[tuple[str, str], ...]) -> tuple[Tie, ...]:
    return tuple(Tie(name, reference) for name, reference in pairs)


def _by_target(ties: tuple[Tie, ...]) -> dict[str, tuple[Tie, ...]]:
    return {root: tuple(t for t in ties if t.target.root == root) for root in {t.target.root for t in ties}}


def _by_source(ties: tuple[Tie, ...]) -> dict[str, tuple[Tie, ...]]:
    return {root: tuple(t for t in ties if t.entity.root == root) for root in {t.entity.root for t in ties}}


_LINKS = _ties(tuple((e.name, end) for e in ENTITIES.values() if e.link for end in ("parent", "child")))
_CHILDREN = _ties(tuple((name, "child") for name in _CONTENTS))
#: By root of what goes: the rows that go with it, and by root of the row: what goes with that.
PARTS = _by_target(_ties(_PARTS))
NAMED = _by_source(_ties(_NAMED))
#: By root of what goes: the links that one of their ends ties to it.
LINKS = _by_target(_LINKS)
#: By root of the row that goes: what it shares with others; by root of what goes: rows it contains, links to its contents.
SHARED = _by_source(_ties(_SHARED))
CONTAINED = _by_target(_ties(_CONTAINED))
CONTENTS = _by_target(_ties(tuple((name, "parent") for name in _CONTENTS)))
#: By root of what could go: rows that hold it; of links it is the parent that holds.
HOLDERS = _by_target(tuple(dict.fromkeys(_ties(_SHARED) + _CHILDREN)))
#: Annotations that go with what they are on if they belong to the same user; others go whoever wrote them.
WITH_THEIR_OWNER = frozenset({"FileAnnotation", "TagAnnotation"})
#: Annotations that nobody needs a right to, as they are on nothing else.
HANGING_ON = frozenset({"BasicAnnotation", "CommentAnnotation"})
#: Jobs whose files are nobody else's (a script's file stays).
OF_IMPORTS = frozenset({"IndexingJob", "MetadataImportJob", "PixelDataJob", "ThumbnailGenerationJob", "UploadJob"})
#: What nobody needs a right to when it goes along with something: settings of others, links, what hangs on nothing else.
UNCHECKED = frozenset(
    {
        *("ChannelBinding", "CodomainMapContext", "ExternalInfo", "OriginalFile", "ProjectionDef", "QuantumDef"),
        *("RenderingDef", "StatsInfo", "Thumbnail"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildOption:
    """What a request says about rows that would go along (omero.cmd.graphs.ChildOption): names of classes, namespaces."""

    include: frozenset[str] = field(default_factory=frozenset)
    exclude: frozenset[str] = field(default_factory=frozenset)
    include_ns: frozenset[str] = field(default_factory=frozenset)
    exclude_ns: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        for name in self.include | self.exclude:
            find_class(name)
        if not self.include and not self.exclude:
            raise BadOption("child option must include or exclude some type")
        if self.include_ns and self.exclude_ns:
            raise BadOption("child option may not both include and exclude namespace")

    def includes(self, entity: Entity, namespace: str | None) -> bool:
        """Whether rows of an entity go even if others hold them."""
        return self._names(self.include, entity) and self._meant(entity, namespace)

    def excludes(self, entity: Entity, namespace: str | None) -> bool:
        """Whether rows of an entity stay; what is both included and excluded is included (real server, recorded)."""
        return self._names(self.exclude, entity) and not self._names(self.include, entity) and self._meant(entity, namespace)

    def _names(self, names: frozenset[str], entity: Entity) -> bool:
        return any(find_class(name).name in entity.bases for name in names)

    def _meant(self, entity: Entity, namespace: str | None) -> bool:
        """Whether the option speaks of annotations of this namespace (OMERO's source: ChildOptionI.isTargetNamespace)."""
        if "Annotation" not in entity.bases:
            return True
        if self.include_ns:
            return namespace in self.include_ns
        return namespace not in self.exclude_ns
