# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of files of many kinds: images, channels, plates, and their pixels; Bio-Formats reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import omero
import omero.cmd
import pytest
import tifffile
from omero.rtypes import rbool, rstring
from PIL import Image

from tests.fixtures.omero_client import InPlace, new_dataset, rows

PLATE = "p&plates=1&plateRows=2&plateCols=3&fields=2&plateAcqs=2&sizeX=8&sizeY=6.fake"
PLACES = (
    "select s.image.series, s.image.id, s.image.name, w.row, w.column, s.plateAcquisition.name from WellSample s"
    " join s.well w where w.plate.id = :id order by s.image.series"
)
CHANNELS = (
    "select l.name, c.red, c.green, c.blue, c.alpha from Channel c join c.logicalChannel l where c.pixels.id = :id order by c.id"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def fake(folder: Path, name: str) -> Path:
    """A file whose name says what Bio-Formats is to find in it."""
    path = folder / name
    path.touch()
    return path


def planes(client: Any, pixels: Any) -> Any:
    """All planes of an image, shape (C, Z, T, Y, X)."""
    store = client.sf.createRawPixelsStore()
    try:
        store.setPixelsId(pixels.id.val, False)
        kind = np.dtype({"float": "f4", "double": "f8"}.get(pixels.pixelsType.value.val, pixels.pixelsType.value.val))
        sizes = [pixels.sizeC.val, pixels.sizeZ.val, pixels.sizeT.val, pixels.sizeY.val, pixels.sizeX.val]
        read = [
            np.frombuffer(store.getPlane(z, c, t), kind.newbyteorder(">"))
            for c in range(sizes[0])
            for z in range(sizes[1])
            for t in range(sizes[2])
        ]
        return np.array(read).reshape(sizes)
    finally:
        store.close()


def loaded(client: Any, pixels: Any) -> Any:
    query = "select p from Pixels p join fetch p.pixelsType join fetch p.dimensionOrder where p.id = :id"
    return client.sf.getQueryService().findByQuery(query, omero.sys.ParametersI().addId(pixels.id.val))


def test_sizes_type_dates_and_lengths_are_those_of_the_file(client: Any, folder: Path) -> None:
    name = "a&sizeX=8&sizeY=6&sizeZ=2&sizeT=3&pixelType=uint16&physicalSizeX=2.5&physicalSizeY=3nm"
    response = InPlace(client, [fake(folder, f"{name}&acquisitionDate=2020-01-02_03-04-05.fake")], None).run()
    pixels = loaded(client, response.pixels[0])
    sizes = (pixels.sizeX, pixels.sizeY, pixels.sizeZ, pixels.sizeC, pixels.sizeT)
    assert [size.val for size in sizes] == [8, 6, 2, 1, 3]
    assert (pixels.pixelsType.value.val, pixels.significantBits.val, pixels.dimensionOrder.value.val) == ("uint16", 16, "XYZCT")
    lengths = [(size.getValue(), str(size.getUnit())) for size in (pixels.physicalSizeX, pixels.physicalSizeY)]
    assert lengths == [(2.5, "MICROMETER"), (3.0, "NANOMETER")]
    assert pixels.physicalSizeZ is None
    about = rows(client, "select i.acquisitionDate, i.format.value from Image i where i.id = :id", id=response.objects[0].id.val)
    assert about == [[1577934245000, "Fake"]]


def test_several_images_of_a_file_are_named_after_it_and_themselves(client: Any, folder: Path) -> None:
    path = fake(folder, "x&series=3&sizeX=8&sizeY=8.fake")
    for chosen, name in ((None, path.name), ("mine", "mine")):
        settings = {} if chosen is None else {"userSpecifiedName": rstring(chosen)}
        response = InPlace(client, [path], None, **settings).run()
        assert [image.name.val for image in response.objects] == [f"{name} [x]", f"{name} [x 2]", f"{name} [x 3]"]
        assert [image.series.val for image in response.objects] == [0, 1, 2]
        ids = [image.id.val for image in response.objects]
        assert ids == sorted(ids)


def test_a_plate_is_rows_and_columns_of_wells_with_fields(client: Any, folder: Path) -> None:
    screen = omero.model.ScreenI()
    screen.name = rstring("a screen")
    screen = client.sf.getUpdateService().saveAndReturnObject(screen)
    settings = {"userSpecifiedTarget": omero.model.ScreenI(screen.id.val, False)}
    response = InPlace(client, [fake(folder, PLATE)], None, **settings).run()
    (plate,) = response.objects
    assert isinstance(plate, omero.model.PlateI)
    assert (plate.name.val, plate.rows.val, plate.columns.val) == ("Plate Name 0", 2, 3)
    assert rows(client, "select l.parent.id from ScreenPlateLink l where l.child.id = :id", id=plate.id.val) == [[screen.id.val]]
    places = rows(client, PLACES, id=plate.id.val)
    assert [place[0] for place in places] == list(range(24))
    assert [place[3:5] for place in places] == [[row, column] for row in range(2) for column in range(3) for _ in range(4)]
    assert [place[5] for place in places[:4]] == [f"PlateAcquisition Name {run}" for run in (0, 0, 1, 1)]
    assert places[1][2] == f"{PLATE} [p 2]"
    assert len(response.pixels) == 24


def test_ids_of_a_plates_images_tell_nothing_of_their_places(client: Any, folder: Path) -> None:
    response = InPlace(client, [fake(folder, PLATE)], None).run()
    ids = [place[1] for place in rows(client, PLACES, id=response.objects[0].id.val)]
    assert ids != sorted(ids)
    assert [pixels.image.id.val for pixels in response.pixels] != sorted(ids)


def test_a_chosen_name_is_that_of_the_plate_and_of_its_images(client: Any, folder: Path) -> None:
    settings = {"userSpecifiedName": rstring("mine"), "userSpecifiedDescription": rstring("text")}
    (plate,) = InPlace(client, [fake(folder, PLATE)], None, **settings).run().objects
    assert (plate.name.val, plate.description.val) == ("mine", "text")
    assert [place[2] for place in rows(client, PLACES, id=plate.id.val)][:2] == ["mine [p]", "mine [p 2]"]


def test_the_images_of_a_plate_go_into_a_dataset_and_the_plate_nowhere(client: Any, folder: Path) -> None:
    dataset = new_dataset(client)
    (plate,) = InPlace(client, [fake(folder, PLATE)], dataset).run().objects
    assert rows(client, "select count(l) from DatasetImageLink l where l.parent.id = :id", id=dataset) == [[24]]
    assert rows(client, "select count(l) from ScreenPlateLink l where l.child.id = :id", id=plate.id.val) == [[0]]


def test_each_field_of_a_plate_has_its_own_pixels(client: Any, folder: Path) -> None:
    path = fake(folder, "s&plates=1&plateRows=1&plateCols=2&fields=2&sizeX=128&sizeY=128.fake")
    response = InPlace(client, [path], None).run()
    # A fake's plane has its series in the first of the boxes along its upper edge (10 pixels wide).
    series = dict(rows(client, "select i.id, i.series from Image i where i.fileset.id = :id", id=_fileset(client, response)))
    for pixels in response.pixels:
        plane = planes(client, loaded(client, pixels))[0, 0, 0]
        assert plane[5, 5] == series[pixels.image.id.val]


def _fileset(client: Any, response: Any) -> int:
    found = rows(client, "select i.fileset.id from Image i where i.id = :id", id=response.pixels[0].image.id.val)
    return int(found[0][0])


def test_a_coloured_picture_has_a_channel_for_each_colour(client: Any, folder: Path) -> None:
    data = np.random.default_rng(1).integers(0, 255, (20, 30, 3), dtype="u1")
    Image.fromarray(data).save(folder / "rgb.png")
    (pixels,) = InPlace(client, [folder / "rgb.png"], None).run().pixels
    assert rows(client, CHANNELS, id=pixels.id.val) == [
        ["Red", 255, 0, 0, 255],
        ["Green", 0, 255, 0, 255],
        ["Blue", 0, 0, 255, 255],
    ]
    read = planes(client, loaded(client, pixels))[:, 0, 0]
    assert (read == np.moveaxis(data, -1, 0)).all()


def test_channels_have_the_names_and_colours_of_their_wavelengths(client: Any, folder: Path) -> None:
    text = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        'DimensionOrder="XYCZT" Type="uint8" SizeX="4" SizeY="4" SizeC="3" SizeZ="1" SizeT="1">'
        '<Channel ID="Channel:0:0" EmissionWavelength="460" SamplesPerPixel="1"/>'
        '<Channel ID="Channel:0:1" EmissionWavelength="620" Name="far" SamplesPerPixel="1"/>'
        '<Channel ID="Channel:0:2" SamplesPerPixel="1"/><TiffData/></Pixels></Image></OME>'
    )
    path = folder / "waves.ome.tif"
    tifffile.imwrite(path, np.zeros((3, 4, 4), "u1"), description=text, metadata=None, photometric="minisblack")
    (pixels,) = InPlace(client, [path], None).run().pixels
    assert rows(client, CHANNELS, id=pixels.id.val) == [
        ["460.0", 0, 0, 255, 255],
        ["far", 255, 0, 0, 255],
        [None, 255, 255, 255, 255],
    ]


def test_annotations_of_the_file_are_linked_and_shared_by_what_names_them(client: Any, folder: Path) -> None:
    pixels = '<Pixels ID="Pixels:{0}" DimensionOrder="XYCZT" Type="uint8" SizeX="4" SizeY="4" SizeC="1" SizeZ="1" SizeT="1">'
    image = '<Image ID="Image:{0}">' + pixels + '<TiffData IFD="{0}"/></Pixels><AnnotationRef ID="Annotation:0"/></Image>'
    note = '<MapAnnotation ID="Annotation:0" Namespace="a/space"><Value><M K="dose">high</M></Value></MapAnnotation>'
    images = "".join(image.format(number) for number in range(2))
    schema = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    text = f'<OME xmlns="{schema}">{images}<StructuredAnnotations>{note}</StructuredAnnotations></OME>'
    path = folder / "noted.ome.tif"
    tifffile.imwrite(path, np.zeros((2, 4, 4), "u1"), description=text, metadata=None, photometric="minisblack")
    response = InPlace(client, [path], None).run()
    linked = "select l.child.id, l.child.ns, v.name, v.value from ImageAnnotationLink l, MapAnnotation a join a.mapValue v"
    found = [
        rows(client, f"{linked} where a.id = l.child.id and l.parent.id = :id", id=image.id.val) for image in response.objects
    ]
    assert [one[0][1:] for one in found] == [["a/space", "dose", "high"]] * 2
    assert found[0][0][0] == found[1][0][0]


def test_regions_of_the_file_are_those_of_the_image(client: Any, folder: Path) -> None:
    sizes = 'DimensionOrder="XYCZT" Type="uint8" SizeX="4" SizeY="4" SizeC="1" SizeZ="1" SizeT="1"'
    pixels = f'<Pixels ID="P" {sizes}><TiffData/></Pixels>'
    shapes = (
        '<Rectangle ID="Shape:0" X="1" Y="2" Width="2" Height="1.5" TheZ="0" StrokeColor="-16776961"/>'
        '<Polyline ID="Shape:1" Points="0,0 1,1" Text="way"/>'
    )
    region = f'<ROI ID="ROI:0" Name="a region"><Union>{shapes}</Union></ROI>'
    schema = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    text = f'<OME xmlns="{schema}"><Image ID="Image:0">{pixels}<ROIRef ID="ROI:0"/></Image>{region}</OME>'
    path = folder / "marked.ome.tif"
    tifffile.imwrite(path, np.zeros((4, 4), "u1"), description=text, metadata=None)
    (image,) = InPlace(client, [path], None).run().objects
    (found,) = client.sf.getRoiService().findByImage(image.id.val, None).rois
    rectangle, way = sorted(found.copyShapes(), key=lambda shape: type(shape).__name__, reverse=True)
    numbers = (rectangle.x, rectangle.y, rectangle.width, rectangle.height)
    assert [number.val for number in numbers] == [1.0, 2.0, 2.0, 1.5]
    assert (rectangle.theZ.val, rectangle.theT, rectangle.strokeColor.val) == (0, None, -16776961)
    assert (way.points.val, way.textValue.val) == ("0,0 1,1", "way")


@pytest.mark.parametrize(
    "options",
    [
        {"byteorder": ">"},
        {"imagej": True, "metadata": {"axes": "TZCYX"}},
        {"ome": True, "metadata": {"axes": "TZCYX"}, "compression": "zlib"},
    ],
)
def test_planes_come_big_endian_and_from_their_places(client: Any, folder: Path, options: dict[str, Any]) -> None:
    data = np.random.default_rng(2).integers(0, 60000, (2, 3, 2, 20, 30), dtype="u2")
    if "metadata" not in options:
        data = data[:1, :1, :1]
    path = folder / ("a.ome.tif" if options.get("ome") else "a.tif")
    tifffile.imwrite(path, data, photometric="minisblack", **options)
    (pixels,) = InPlace(client, [path], None).run().pixels
    read = planes(client, loaded(client, pixels))
    assert (read == data.transpose(2, 1, 0, 3, 4)).all()


def test_statistics_are_the_least_and_the_greatest_value_of_each_channel(client: Any, folder: Path) -> None:
    data = np.zeros((2, 16, 16), "u2")
    data[0, 3, 3], data[1] = 700, 5
    tifffile.imwrite(folder / "two.ome.tif", data, metadata={"axes": "CYX"}, photometric="minisblack")
    query = "select s.globalMin, s.globalMax from Channel c join c.statsInfo s where c.pixels.id = :id order by c.id"
    for without, found in ((False, [[0.0, 700.0], [5.0, 5.0]]), (True, [])):
        (pixels,) = InPlace(client, [folder / "two.ome.tif"], None, noStatsInfo=rbool(without)).run().pixels
        assert rows(client, query, id=pixels.id.val) == found


class TwoFiles:
    """An image of two planes in a file each, described by a third."""

    def __init__(self, folder: Path) -> None:
        self.data = np.random.default_rng(3).integers(0, 255, (2, 16, 16), dtype="u1")
        self.tiffs = [folder / "z0.ome.tif", folder / "z1.ome.tif"]
        self.companion = folder / "x.companion.ome"
        self.ids = [uuid4(), uuid4()]
        blocks = "".join(
            f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{path.name}">urn:uuid:{uuid}</UUID></TiffData>'
            for z, (path, uuid) in enumerate(zip(self.tiffs, self.ids, strict=True))
        )
        pixels = 'DimensionOrder="XYZCT" Type="uint8" SizeX="16" SizeY="16" SizeZ="2" SizeC="1" SizeT="1"'
        channel = '<Channel ID="Channel:0:0" Name="DAPI" SamplesPerPixel="1"/>'
        whole = f'<Image ID="Image:0" Name="stack"><Pixels ID="Pixels:0" {pixels}>{channel}{blocks}</Pixels></Image>'
        self.companion.write_text(self._ome(whole, uuid4()), encoding="utf-8")
        for path, plane, uuid in zip(self.tiffs, self.data, self.ids, strict=True):
            binary = f'<BinaryOnly MetadataFile="{self.companion.name}" UUID="urn:uuid:{uuid4()}"/>'
            tifffile.imwrite(path, plane, description=self._ome(binary, uuid), metadata=None)

    def _ome(self, inside: str, uuid: UUID) -> str:
        return f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{uuid}">{inside}</OME>'


@pytest.mark.parametrize("first", ["companion", "tiff"])
def test_a_fileset_of_several_files_is_read_from_whichever_is_first(client: Any, folder: Path, first: str) -> None:
    files = TwoFiles(folder)
    paths = [files.companion, *files.tiffs] if first == "companion" else [*files.tiffs, files.companion]
    response = InPlace(client, paths, None).run()
    assert [image.name.val for image in response.objects] == ["x.companion.ome"]
    assert [row[0] for row in rows(client, CHANNELS, id=response.pixels[0].id.val)] == ["DAPI"]
    read = planes(client, loaded(client, response.pixels[0]))
    assert (read[0, :, 0] == files.data).all()


def test_a_file_beside_the_source_that_the_fileset_lacks_is_missing(client: Any, folder: Path) -> None:
    files = TwoFiles(folder)
    response = InPlace(client, [files.companion, files.tiffs[0]], None).run()
    assert response.name == "error-on-init"
    assert response.parameters["message"] == f"Missing file z1.ome.tif associated with UUID urn:uuid:{files.ids[1]}."


def test_a_name_that_makes_no_sense_is_the_readers_own_complaint(client: Any, folder: Path) -> None:
    response = InPlace(client, [fake(folder, "a&sizeX=abc.fake")], None).run()
    assert isinstance(response, omero.cmd.ERR)
    assert (response.name, response.parameters["message"]) == ("error-on-init", "Invalid sizeX: -1")
