# SPDX-License-Identifier: GPL-2.0-or-later
"""Graph rules: what goes with what when rows are deleted.

Written down from what a real server was recorded to delete and to refuse, not from its rule file. Two lists carry them: rows
that go with the row they refer to, and rows that go when the last row that refers to them has gone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from omero_devserver.model.schema import ENTITIES, Entity, find_class

#: (entity, reference): the row goes when what it refers to goes.
_OWNED = (
    ("Channel", "pixels"),
    ("ChannelBinding", "renderingDef"),
    ("CodomainMapContext", "channelBinding"),
    ("Detector", "instrument"),
    ("Dichroic", "instrument"),
    ("Filter", "instrument"),
    ("FilterSet", "instrument"),
    ("FilesetEntry", "fileset"),
    ("Image", "fileset"),
    ("LightSource", "instrument"),
    ("OTF", "instrument"),
    ("Objective", "instrument"),
    ("Pixels", "image"),
    ("PixelsOriginalFileMap", "child"),
    ("PixelsOriginalFileMap", "parent"),
    ("PlaneInfo", "pixels"),
    ("PlateAcquisition", "plate"),
    ("ProjectionDef", "renderingDef"),
    ("Reagent", "screen"),
    ("RenderingDef", "pixels"),
    ("Roi", "image"),
    ("Shape", "roi"),
    ("Thumbnail", "pixels"),
    ("Well", "plate"),
    ("WellSample", "plateAcquisition"),
    ("WellSample", "well"),
)
#: (entity, reference): what it refers to goes with the last such row.
_LAST_TAKES = (
    ("Channel", "logicalChannel"),
    ("Channel", "statsInfo"),
    ("DatasetImageLink", "child"),
    ("FileAnnotation", "file"),
    ("FilesetEntry", "originalFile"),
    ("FilesetJobLink", "child"),
    ("Filter", "transmittanceRange"),
    ("Image", "experiment"),
    ("Image", "fileset"),
    ("Image", "imagingEnvironment"),
    ("Image", "instrument"),
    ("Image", "objectiveSettings"),
    ("Image", "stageLabel"),
    ("Instrument", "microscope"),
    ("JobOriginalFileLink", "child"),
    ("LightSettings", "microbeamManipulation"),
    ("LogicalChannel", "detectorSettings"),
    ("LogicalChannel", "lightPath"),
    ("LogicalChannel", "lightSourceSettings"),
    ("PixelsOriginalFileMap", "parent"),
    ("ProjectDatasetLink", "child"),
    ("RenderingDef", "quantization"),
    ("ScreenPlateLink", "child"),
    ("Shape", "transform"),
    ("WellSample", "image"),
)
#: (entity, reference): holds what it refers to, but does not take it along: a tag set its tags, a region its source.
_HOLDS = (("AnnotationAnnotationLink", "child"), ("Roi", "source"), ("MicrobeamManipulation", "experiment"))


def _annotation_links() -> tuple[tuple[str, str], ...]:
    links = (e.name for e in ENTITIES.values() if e.link and e.name.endswith("AnnotationLink"))
    return tuple((name, "child") for name in links if name != "AnnotationAnnotationLink")


def _links() -> tuple[tuple[str, str], ...]:
    return tuple((e.name, end) for e in ENTITIES.values() if e.link for end in ("parent", "child"))


def _by_target(pairs: tuple[tuple[str, str], ...]) -> dict[str, tuple[tuple[Entity, str], ...]]:
    found: dict[str, list[tuple[Entity, str]]] = {}
    for name, reference in pairs:
        entity = ENTITIES[name]
        found.setdefault(ENTITIES[entity.fields[reference].type].root, []).append((entity, reference))
    return {root: tuple(pairs) for root, pairs in found.items()}


#: By root of what is deleted: the rows that go with it.
OWNED = _by_target(_OWNED + _links())
#: By root of what may be orphaned: the references of which the last one takes it along, and all that hold it.
LAST_TAKES = _by_target(_LAST_TAKES + _annotation_links())
HOLDERS = _by_target(_LAST_TAKES + _annotation_links() + _HOLDS)
#: Children of containers stay when they belong to somebody else.
ONLY_IF_DELETABLE = frozenset({"Dataset", "Image", "Plate"})


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

    def includes(self, entity: Entity) -> bool:
        """Whether rows of an entity go even if others hold them."""
        return any(find_class(name).name in entity.bases for name in self.include)

    def excludes(self, entity: Entity, namespace: str | None) -> bool:
        """Whether rows of an entity stay; what is both included and excluded is included (real server, recorded)."""
        if self.includes(entity):
            return False
        if any(find_class(name).name in entity.bases for name in self.exclude):
            return True
        if "Annotation" not in entity.bases:
            return False
        return namespace in self.exclude_ns or bool(self.include_ns and namespace not in self.include_ns)
