# SPDX-License-Identifier: GPL-2.0-or-later
"""Seen data: what the queries that clients send were recorded on, saved into a store of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero.model as m
from omero.model.enums import UnitsLength
from omero.rtypes import rbool, rdouble, rint, rlong, rstring, rtime

from .conftest import Lab, new_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.store.caller import Caller

#: Ids by the name of what was made, in the order in which it was.
Made = dict[str, list[int]]

ANNOTATED = ("Image", "Dataset", "Project", "Screen", "Plate", "Well", "PlateAcquisition", "Fileset")


def fill(lab: Lab, alice: Caller) -> Made:
    """Save images in datasets and projects, plates in a screen, regions, and every kind of annotation on one of each."""
    made: Made = {"alice": [alice.user], "bob": [lab.caller("bob", "gro").user], "gro": [lab.group("gro")]}
    made["grw"] = [lab.group("grw")]
    for kind, names in (("Project", ("Proj B", "proj a")), ("Dataset", ("Data B", "data a", "lonely")), ("Screen", ("B", "a"))):
        made[kind] = [_named(lab, alice, kind, name) for name in names]
    for project, dataset in ((0, 0), (0, 1), (1, 0)):
        _link(lab, alice, "ProjectDataset", made["Project"][project], made["Dataset"][dataset])
    images(lab, alice, made)
    plates(lab, alice, made)
    every_annotation(lab, alice, made)
    regions(lab, alice, made)
    return made


def images(lab: Lab, alice: Caller, made: Made) -> None:
    """One image in two datasets, three in a file, one in the second dataset, one in none."""
    made["Image"], made["Fileset"], made["Pixels"] = [], [], []
    first, second, _ = made["Dataset"]
    for name, number, channels, dataset in (
        ("one", 1, 2, first),
        ("series", 3, 1, first),
        ("two", 1, 1, second),
        ("orphan", 1, 1, 0),
    ):
        fileset = lab.save(
            alice, _fileset(f"{name}.fake", [_image(name, channels) for _ in range(number)], marked=name != "orphan")
        )
        made["Fileset"].append(fileset.id.val)
        for image in fileset.copyImages():
            made["Image"].append(image.id.val)
            made["Pixels"].append(image.copyPixels()[0].id.val)
            if dataset:
                _link(lab, alice, "DatasetImage", dataset, image.id.val)
    _link(lab, alice, "DatasetImage", second, made["Image"][0])


def plates(lab: Lab, alice: Caller, made: Made) -> None:
    """A plate of six wells, two runs and two fields in a screen, and one of a single well in none."""
    made["Plate"], made["Well"], made["PlateAcquisition"], made["WellImage"] = [], [], [], []
    for rows, columns, runs, fields in ((2, 3, 2, 2), (1, 1, 0, 1)):
        plate = m.PlateI()
        plate.name = rstring("plate")
        acquisitions = [m.PlateAcquisitionI() for _ in range(runs)]
        for acquisition in acquisitions:
            plate.addPlateAcquisition(acquisition)
        for row in range(rows):
            for column in range(columns):
                plate.addWell(_well(row, column, [a for a in acquisitions or [None] for _ in range(fields)]))
        saved = lab.save(alice, plate)
        made["Plate"].append(saved.id.val)
        wells = saved.copyWells()
        made["Well"] += sorted(well.id.val for well in wells)
        made["WellImage"] += sorted(sample.image.id.val for well in wells for sample in well.copyWellSamples())
        made["PlateAcquisition"] += sorted(acquisition.id.val for acquisition in saved.copyPlateAcquisitions())
    _link(lab, alice, "ScreenPlate", made["Screen"][0], made["Plate"][0])


def every_annotation(lab: Lab, alice: Caller, made: Made) -> None:
    """One annotation of every kind, all of them on the first object of every kind."""
    file = m.OriginalFileI()
    file.name, file.path, file.mimetype, file.size = rstring("att.csv"), rstring("/x/"), rstring("text/csv"), rlong(8)
    pairs = [m.NamedValue("k1", "v1"), m.NamedValue("k2", "v2"), m.NamedValue("k1", "again")]
    tags = [_annotation(m.TagAnnotationI, "", textValue=rstring(name)) for name in ("tag1", "tag2")]
    tags[0].description = rstring("desc")
    every = [
        *tags,
        _annotation(m.MapAnnotationI, "openmicroscopy.org/omero/client/mapAnnotation", mapValue=pairs),
        _annotation(m.MapAnnotationI, "other", mapValue=pairs[:1]),
        _annotation(m.CommentAnnotationI, "ns.c", textValue=rstring("a comment")),
        _annotation(m.LongAnnotationI, "openmicroscopy.org/omero/insight/rating", longValue=rlong(4)),
        _annotation(m.LongAnnotationI, "", longValue=rlong(7)),
        _annotation(m.DoubleAnnotationI, "", doubleValue=rdouble(1.5)),
        _annotation(m.BooleanAnnotationI, "", boolValue=rbool(True)),
        _annotation(m.TimestampAnnotationI, "", timeValue=rtime(1234567890000)),
        _annotation(m.TermAnnotationI, "", termValue=rstring("term")),
        _annotation(m.XmlAnnotationI, "", textValue=rstring("<x/>")),
        _annotation(m.FileAnnotationI, "openmicroscopy.org/omero/bulk_annotations", file=file),
        _annotation(m.ListAnnotationI, "nslist"),
    ]
    tag_set = _annotation(m.TagAnnotationI, "openmicroscopy.org/omero/insight/tagset", textValue=rstring("set1"))
    tag_set.description = rstring("a set")
    made["tag set"] = [lab.save(alice, tag_set).id.val]
    saved = lab.store.save(alice, every)
    for name, one in zip(("tag", "tag2", "map", "map2", "comment", "long"), saved, strict=False):
        made[name] = [one.id.val]
    made["file"] = [saved[-2].id.val]
    link = m.AnnotationAnnotationLinkI()
    link.parent, link.child = m.TagAnnotationI(made["tag set"][0], False), m.TagAnnotationI(made["tag"][0], False)
    lab.save(alice, link)
    for kind in ANNOTATED:
        for one in saved:
            _link(lab, alice, f"{kind}Annotation", made[kind][0], one.id.val, child_class=type(one))
    _link(lab, alice, "ImageAnnotation", made["Image"][1], made["tag"][0], child_class=m.TagAnnotationI)


def regions(lab: Lab, alice: Caller, made: Made) -> None:
    """One region with every kind of shape, one with a rectangle."""
    one, two = m.RoiI(), m.RoiI()
    one.name = rstring("roi1")
    rectangles = [m.RectangleI(), m.RectangleI()]
    for rectangle in rectangles:
        rectangle.strokeWidth = m.LengthI(2.0, UnitsLength.PIXEL)
    shapes = (m.EllipseI, m.PointI, m.LineI, m.PolygonI, m.PolylineI, m.LabelI, m.MaskI)
    for shape in (rectangles[0], *(kind() for kind in shapes)):
        one.addShape(shape)
    two.addShape(rectangles[1])
    for roi in (one, two):
        roi.image = m.ImageI(made["Image"][0], False)
    saved = lab.store.save(alice, [one, two])
    made["Roi"] = [roi.id.val for roi in saved]
    made["Shape"] = [shape.id.val for shape in saved[0].copyShapes()]


def _named(lab: Lab, alice: Caller, kind: str, name: str) -> int:
    made = getattr(m, f"{kind}I")()
    made.name = rstring(name)
    return int(lab.save(alice, made).id.val)


def _link(lab: Lab, alice: Caller, kind: str, parent: int, child: int, *, child_class: Any = None) -> None:
    link = getattr(m, f"{kind}LinkI")()
    names = {"ProjectDataset": ("Project", "Dataset"), "DatasetImage": ("Dataset", "Image"), "ScreenPlate": ("Screen", "Plate")}
    of, to = names.get(kind, (kind.removesuffix("Annotation"), ""))
    link.parent = getattr(m, f"{of}I")(parent, False)
    link.child = (child_class or getattr(m, f"{to}I"))(child, False)
    lab.save(alice, link)


def _annotation(kind: Any, namespace: str, **values: Any) -> Any:
    made = kind()
    made.ns = rstring(namespace) if namespace else None
    for name, value in values.items():
        setattr(made, name, value)
    return made


def _well(row: int, column: int, acquisitions: Sequence[Any]) -> Any:
    well = m.WellI()
    well.row, well.column = rint(row), rint(column)
    for acquisition in acquisitions:
        sample = m.WellSampleI()
        sample.image, sample.plateAcquisition = new_image("well"), acquisition
        well.addWellSample(sample)
    return well


def _image(name: str, channels: int) -> Any:
    image = new_image(name, channels)
    image.format = m.FormatI()
    image.format.value = rstring("Fake")
    for channel in image.copyPixels()[0].copyChannels():
        channel.logicalChannel.name = None
    return image


def _fileset(name: str, of_images: Sequence[Any], *, marked: bool) -> Any:
    fileset = m.FilesetI()
    fileset.templatePrefix = rstring("alice_2/2026-11/24/")
    entry = m.FilesetEntryI()
    entry.clientPath = rstring(f"data/{name}")
    entry.originalFile = m.OriginalFileI()
    entry.originalFile.path, entry.originalFile.name = rstring("alice_2/2026-11/24/"), rstring(name)
    entry.originalFile.repo, entry.originalFile.size = rstring("repository"), rlong(0)
    entry.originalFile.hasher, entry.originalFile.hash = m.ChecksumAlgorithmI(), rstring("0")
    entry.originalFile.hasher.value = rstring("File-Size-64")
    fileset.addFilesetEntry(entry)
    for image in of_images:
        fileset.addImage(image)
    notes = {
        "openmicroscopy.org/omero/import/fileTransfer": "SymlinkFileTransfer",
        **({"omero-adi/order": "fill"} if marked else {}),
    }
    for namespace, text in notes.items():
        fileset.linkAnnotation(_annotation(m.CommentAnnotationI, namespace, textValue=rstring(text)))
    return fileset
