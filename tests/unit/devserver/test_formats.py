# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading image files: OME-XML as values, colours of channels, TIFF without Bio-Formats, and when there is none."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from omero_devserver.formats import colors, java, omexml, readers, tiff
from omero_devserver.formats.values import Band, Channel, Color, Quantity, Unreadable

PIXELS = 'DimensionOrder="XYCZT" Type="uint16" SizeX="4" SizeY="3" SizeZ="2" SizeC="{c}" SizeT="1"'


def ome(*inside: str, schema: str = "2016-06") -> str:
    return f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/{schema}">{"".join(inside)}</OME>'


def image(inside: str = "", *, attributes: str = "", c: int = 1, number: int = 0, before: str = "") -> str:
    sizes = PIXELS.format(c=c)
    return f'<Image ID="Image:{number}" Name="i{number}">{before}<Pixels ID="P" {sizes} {attributes}>{inside}</Pixels></Image>'


def nm(value: float) -> Quantity:
    return Quantity(value=value, unit="nm")


# OME-XML


@pytest.mark.parametrize("schema", ["2016-06", "2013-06", "2011-06"])
def test_an_image_is_read_from_any_release_of_the_schema(schema: str) -> None:
    text = ome(image('<Channel ID="C" Name="DAPI"/>', attributes='PhysicalSizeX="0.5" PhysicalSizeZUnit="mm"'), schema=schema)
    (picture,) = omexml.document(text).pictures
    assert (picture.name, picture.size_x, picture.size_y, picture.size_z, picture.pixels_type) == ("i0", 4, 3, 2, "uint16")
    assert picture.sizes == {"X": Quantity(value=0.5, unit="µm")}
    assert [channel.name for channel in picture.channels] == ["DAPI"]


def test_samples_of_rgb_are_channels_of_which_the_first_alone_is_told() -> None:
    (picture,) = omexml.document(ome(image('<Channel ID="C" Name="rgb" SamplesPerPixel="3"/>', c=3))).pictures
    assert [channel.name for channel in picture.channels] == ["rgb", None, None]


def test_a_colour_is_a_signed_number_with_red_first_and_alpha_last() -> None:
    (picture,) = omexml.document(ome(image('<Channel ID="C" Color="-16711926"/>'))).pictures
    assert picture.channels[0].color == Color(red=255, green=0, blue=255, alpha=10)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2020-01-02T03:04:05", datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2020-01-02T05:04:05+02:00", datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("yesterday", None),
    ],
)
def test_a_date_without_a_zone_is_utc_and_nonsense_is_none(text: str, time: datetime | None) -> None:
    (picture,) = omexml.document(ome(image(before=f"<AcquisitionDate>{text}</AcquisitionDate>"))).pictures
    assert picture.acquired == time


def test_a_plate_knows_its_fields_by_their_images_and_runs() -> None:
    sample = '<WellSample ID="S:{0}" Index="0" PositionX="1.5" PositionXUnit="mm"><ImageRef ID="Image:{0}"/></WellSample>'
    wells = "".join(f'<Well ID="W:{n}" Row="1" Column="{n}">{sample.format(n)}</Well>' for n in range(2))
    run = '<PlateAcquisition ID="A" Name="first"><WellSampleRef ID="S:1"/></PlateAcquisition>'
    plate = f'<Plate ID="Plate:0" Name="p" Rows="8" Columns="12" RowNamingConvention="letter">{wells}{run}</Plate>'
    (found,) = omexml.document(ome(plate, image(), image(number=1))).plates
    assert (found.rows, found.columns, found.row_convention, found.column_convention) == (8, 12, "letter", None)
    fields = [(well.row, well.column, well.fields[0].picture, well.fields[0].acquisition) for well in found.wells]
    assert fields == [(1, 0, 0, None), (1, 1, 1, 0)]
    assert found.wells[0].fields[0].x == Quantity(value=1.5, unit="mm")


def test_an_objective_belongs_to_the_image_that_names_it() -> None:
    instrument = '<Instrument ID="I"><Objective ID="O" LensNA="1.4" NominalMagnification="63" Immersion="Oil"/></Instrument>'
    settings = '<InstrumentRef ID="I"/><ObjectiveSettings ID="O"/>'
    with_it, without = omexml.document(ome(instrument, image(before=settings), image(number=1))).pictures
    assert with_it.objective is not None
    told = (with_it.objective.numerical_aperture, with_it.objective.magnification, with_it.objective.immersion)
    assert told == (1.4, 63.0, "Oil")
    assert (with_it.instrument, without.instrument, without.objective) == (0, None, None)


def test_annotations_are_read_once_and_belong_to_all_that_name_them() -> None:
    notes = (
        '<MapAnnotation ID="A:0" Namespace="ns"><Value><M K="k">v</M><M K="k">w</M></Value></MapAnnotation>'
        '<LongAnnotation ID="A:1"><Description>d</Description><Value>7</Value></LongAnnotation>'
        '<XMLAnnotation ID="A:2"><Value><x xmlns=""><y/></x></Value></XMLAnnotation>'
        '<LongAnnotation ID="A:3"><Value>many</Value></LongAnnotation>'
        '<BooleanAnnotation ID="A:4"><Value>true</Value></BooleanAnnotation>'
    )
    named = "".join(f'<AnnotationRef ID="A:{number}"/>' for number in (1, 0, 3, 9))
    plate = (
        '<Plate ID="Plate:0"><Well ID="W" Row="0" Column="0"><AnnotationRef ID="A:4"/></Well><AnnotationRef ID="A:0"/></Plate>'
    )
    images = [image(before=named), image(number=1, before='<AnnotationRef ID="A:0"/>')]
    found = omexml.document(ome(plate, *images, f"<StructuredAnnotations>{notes}</StructuredAnnotations>"))
    assert [(note.kind, note.value) for note in found.notes] == [
        ("MapAnnotation", (("k", "v"), ("k", "w"))),
        ("LongAnnotation", 7),
        ("XmlAnnotation", "<x><y /></x>"),
        ("BooleanAnnotation", True),
    ]
    assert (found.notes[0].namespace, found.notes[1].description) == ("ns", "d")
    assert [picture.notes for picture in found.pictures] == [(1, 0), (0,)]
    assert (found.plates[0].notes, found.plates[0].wells[0].notes) == ((0,), (3,))


def test_a_channel_knows_its_laser_and_its_filters_from_the_path_or_the_set() -> None:
    band = '<TransmittanceRange CutIn="{}" CutOut="{}"/>'
    instrument = (
        '<Instrument ID="I"><Laser ID="L" Wavelength="488"/><Arc ID="R"/>'
        f'<FilterSet ID="S"><EmissionFilterRef ID="F:2"/></FilterSet><Filter ID="F:0"/>'
        f'<Filter ID="F:1">{band.format(500, 550)}</Filter><Filter ID="F:2">{band.format(570, 600)}</Filter></Instrument>'
    )
    path = '<LightPath><EmissionFilterRef ID="F:0"/><EmissionFilterRef ID="F:1"/></LightPath>'
    first = f'<Channel ID="C:0"><LightSourceSettings ID="L"/><FilterSetRef ID="S"/>{path}</Channel>'
    second = '<Channel ID="C:1"><LightSourceSettings ID="R"/><FilterSetRef ID="S"/></Channel>'
    (picture,) = omexml.document(ome(instrument, image(first + second, c=2))).pictures
    assert [channel.laser for channel in picture.channels] == [nm(488), None]
    bands = [channel.emission_filter for channel in picture.channels]
    assert bands == [Band(cut_in=nm(500), cut_out=nm(550)), Band(cut_in=nm(570), cut_out=nm(600))]
    assert [channel.excitation_filter for channel in picture.channels] == [None, None]


def test_regions_belong_to_the_image_that_names_them() -> None:
    mask = '<Mask X="0" Y="0" Width="8" Height="1"><BinData Compression="{}" Length="1">/w==</BinData></Mask>'
    shapes = (
        '<Ellipse ID="S:0" X="1" Y="2" RadiusX="3" RadiusY="4.5" TheZ="1" StrokeColor="-1" StrokeWidth="2"/>',
        mask.format("none"),
        mask.format("zlib"),
        '<Polygon ID="S:3" Points="1,1 2,2" Text="here"/>',
        '<Blob ID="S:4"/>',
    )
    region = f'<ROI ID="R:0" Name="r"><Union>{"".join(shapes)}</Union></ROI>'
    with_it, without = omexml.document(
        ome(image(before='<ROIRef ID="R:0"/><ROIRef ID="R:9"/>'), image(number=1), region)
    ).pictures
    assert without.regions == ()
    (found,) = with_it.regions
    assert (found.name, [shape.kind for shape in found.shapes]) == ("r", ["Ellipse", "Mask", "Mask", "Polygon"])
    assert found.shapes[0].numbers == {"X": 1.0, "Y": 2.0, "RadiusX": 3.0, "RadiusY": 4.5}
    assert (found.shapes[0].z, found.shapes[0].t, found.shapes[0].stroke) == (1, None, -1)
    assert found.shapes[0].stroke_width == Quantity(value=2.0, unit="pixel")
    assert [shape.mask for shape in found.shapes] == [None, b"\xff", None, None]
    assert (found.shapes[3].points, found.shapes[3].text) == ("1,1 2,2", "here")


@pytest.mark.parametrize("text", ["", "<OME>", '<OME><Image ID="I"/></OME>', '<OME><Image><Pixels SizeC="x"/></Image></OME>'])
def test_what_is_no_ome_xml_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        omexml.document(text)


# Colours


def colours(*channels: Channel, graphics: bool = False) -> list[Color | None]:
    return [channel.color for channel in colors.completed(channels, graphics=graphics)]


def test_a_single_channel_is_grey() -> None:
    assert colours(Channel(emission=nm(460))) == [colors.GREY]


def test_channels_of_which_nothing_is_known_go_through_red_green_and_blue() -> None:
    assert colours(*[Channel()] * 4) == [colors.RED, colors.GREEN, colors.BLUE, colors.RED]


@pytest.mark.parametrize(("wavelength", "color"), [(499.9, colors.BLUE), (500, colors.GREEN), (560, colors.RED)])
def test_a_wavelength_has_a_colour(wavelength: float, color: Color) -> None:
    assert colours(Channel(emission=nm(wavelength)), Channel(emission=nm(600))) == [color, colors.RED]
    assert colours(Channel(excitation=nm(wavelength)), Channel(excitation=nm(600))) == [color, colors.RED]


def test_among_channels_that_emit_the_others_are_white() -> None:
    assert colours(Channel(emission=nm(460)), Channel(excitation=nm(460)), Channel()) == [colors.BLUE, colors.WHITE, colors.WHITE]


LASER = Channel(laser=nm(488))
GREEN_FILTER = Channel(emission_filter=Band(cut_in=nm(500), cut_out=nm(550)), excitation=nm(470))
RED_FILTER = Channel(excitation_filter=Band(cut_in=nm(540), cut_out=nm(600)))


def test_without_a_wavelength_filters_and_lasers_stand_for_it() -> None:
    completed = colors.completed([GREEN_FILTER, GREEN_FILTER], graphics=False)
    assert [(channel.name, channel.color) for channel in completed] == [("500", colors.GREEN)] * 2
    completed = colors.completed([LASER, RED_FILTER], graphics=False)
    assert [(channel.name, channel.color) for channel in completed] == [("488", colors.BLUE), ("540", colors.RED)]


def test_a_filter_in_front_of_the_detector_is_as_good_as_an_emission() -> None:
    assert colours(GREEN_FILTER, LASER, RED_FILTER) == [colors.GREEN, colors.WHITE, colors.WHITE]


def test_what_the_file_says_is_kept() -> None:
    own = Color(red=1, green=2, blue=3, alpha=4)
    completed = colors.completed([Channel(color=own, name="mine", emission=nm(460)), Channel(emission=nm(520))], graphics=False)
    assert [(channel.name, channel.color) for channel in completed] == [("mine", own), ("520", colors.GREEN)]


def test_a_picture_is_red_green_blue_and_transparent() -> None:
    completed = colors.completed([Channel()] * 4, graphics=True)
    assert [channel.name for channel in completed] == ["Red", "Green", "Blue", "Alpha"]
    assert [channel.color for channel in completed] == [colors.RED, colors.GREEN, colors.BLUE, colors.TRANSPARENT]


# Statistics


class Pixels:
    """Planes in memory, shape (T, C, Z, Y, X)."""

    def __init__(self, array: Any) -> None:
        self.array, self.dtype = array, array.dtype
        self.size_t, self.size_c, self.size_z, self.size_y, self.size_x = array.shape
        self.levels: tuple[tuple[int, int], ...] = ((self.size_x, self.size_y),)

    def plane(self, z: int, c: int, t: int, level: int = 0) -> Any:
        return self.array[t, c, z]

    def tile(self, z: int, c: int, t: int, x: int, y: int, width: int, height: int, level: int = 0) -> Any:
        return self.array[t, c, z, y : y + height, x : x + width]


def test_statistics_leave_out_what_is_no_number() -> None:
    array = np.full((1, 2, 1, 2, 2), np.nan, "f4")
    array[0, 0, 0, 0] = [-1.5, 2.5]
    found = readers.statistics(Pixels(array))
    assert found is not None
    assert found.extremes == ((-1.5, 2.5), (0.0, 0.0))


def test_the_digest_does_not_depend_on_the_byte_order() -> None:
    array = np.arange(24, dtype="<u2").reshape(1, 2, 1, 3, 4)
    digests = [readers.statistics(Pixels(one)) for one in (array, array.astype(">u2"))]
    assert digests[0] == digests[1]


def test_of_planes_that_are_too_large_there_are_no_statistics() -> None:
    assert readers.statistics(Pixels(np.broadcast_to(np.uint8(1), (1, 1, 1, 3192, 3193)))) is None


# TIFF without Bio-Formats


def test_tifffile_finds_what_an_ome_tiff_says_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    data = np.random.default_rng(1).integers(0, 255, (2, 3, 5, 4), dtype="u1")
    described = {"axes": "CZYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "nm", "Channel": {"Name": ["a", "b"]}}
    tifffile.imwrite(path, data, metadata=described, photometric="minisblack")
    files = tiff.Files(path)
    (picture,) = files.found().pictures
    assert (picture.size_c, picture.size_z, picture.sizes) == (2, 3, {"X": nm(0.5)})
    assert [channel.name for channel in picture.channels] == ["a", "b"]
    assert (files.planes(0).plane(2, 1, 0) == data[1, 2]).all()
    assert (files.planes(0).tile(2, 1, 0, 1, 2, 3, 2) == data[1, 2, 2:4, 1:4]).all()
    files.close()


def test_a_tiff_that_becomes_shorter_while_it_is_open_is_black_from_there_on(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.ones((8, 64, 64), "u1"), metadata={"axes": "ZYX"}, photometric="minisblack")
    files = tiff.Files(path)
    stack = files.planes(0)
    assert stack.plane(7, 0, 0).sum() == 64 * 64
    # Who reads from a mapped file where it has no bytes any more is ended by the system.
    assert str(path) not in Path("/proc/self/maps").read_text(encoding="utf-8")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    assert [int(stack.plane(z, 0, 0).sum()) for z in (0, 7)] == [64 * 64, 0]
    files.close()


@pytest.mark.parametrize("axes", ["TZCYX", "CTZYX", "HTCYX", "ZYXS", "TZSYX"])
@pytest.mark.parametrize("kind", ["<u2", ">u2"])
def test_planes_of_a_tiff_are_found_in_any_order_of_its_axes(tmp_path: Path, axes: str, kind: str) -> None:
    sizes = {"T": 2, "Z": 3, "C": 4, "H": 2, "S": 3, "Y": 6, "X": 7}
    data = np.arange(math.prod(sizes[axis] for axis in axes)).reshape([sizes[axis] for axis in axes]).astype(kind)
    samples = {"photometric": "rgb", "planarconfig": "contig" if axes.endswith("S") else "separate"} if "S" in axes else {}
    order: Any = kind[0]
    tifffile.imwrite(tmp_path / "a.ome.tif", data, metadata={"axes": axes}, byteorder=order, **samples)
    files = tiff.Files(tmp_path / "a.ome.tif")
    stack = files.planes(0)
    ordered = np.moveaxis(data, [axes.index(axis) for axis in "HTCSZ" if axis in axes], range(len(axes) - 2))
    planes = [(t, c, z) for t in range(stack.size_t) for c in range(stack.size_c) for z in range(stack.size_z)]
    for (t, c, z), expected in zip(planes, ordered.reshape(-1, 6, 7), strict=True):
        assert stack.plane(z, c, t).tolist() == expected.tolist()
    files.close()


def test_an_image_of_a_tiff_may_lie_in_another_file(tmp_path: Path) -> None:
    names, keys = ("a.ome.tif", "b.ome.tif"), ("urn:uuid:00000000-0000-0000-0000-00000000000" + digit for digit in "12")
    uuids = dict(zip(names, keys, strict=True))
    for value, name in enumerate(names):
        images = "".join(
            f'<Image ID="Image:{number}"><Pixels ID="Pixels:{number}" DimensionOrder="XYZCT" Type="uint8" SizeX="4" SizeY="3"'
            f' SizeZ="1" SizeC="1" SizeT="1"><TiffData><UUID FileName="{other}">{uuids[other]}</UUID></TiffData></Pixels></Image>'
            for number, other in enumerate(names)
        )
        described = ome(images).replace("<OME ", f'<OME UUID="{uuids[name]}" ')
        tifffile.imwrite(tmp_path / name, np.full((3, 4), value, "u1"), description=described, metadata=None)
    files = tiff.Files(tmp_path / "a.ome.tif")
    assert [int(files.planes(series).plane(0, 0, 0)[0, 0]) for series in range(2)] == [0, 1]
    files.close()


def test_tifffile_takes_a_broken_header_as_a_plain_tiff(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((2, 4, 4), "u1"), metadata={"axes": "ZYX"}, photometric="minisblack")
    path.write_bytes(path.read_bytes().replace(b"</Pixels>", b"</Pixelz>"))
    files = tiff.Files(path)
    found = files.found()
    assert (found.format, [(one.size_z, one.size_t) for one in found.pictures]) == ("TiffDelegate", [(1, 2)])
    files.close()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tif", b"no tiff", "Invalid TIFF file: {path}"),
        ("a.png", b"\x89PNG", "Unknown file format: {path}"),
        ("a.tif", b"II*\0" + bytes(100), "No IFDs found"),
        ("a.tif", None, "{path} (No such file or directory)"),
    ],
)
def test_tifffile_says_what_bio_formats_would_say(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Unreadable) as refused:
        tiff.Files(path).found()
    assert str(refused.value) == message.format(path=path)


# Whether there is a Bio-Formats


def test_what_is_missing_for_bio_formats_is_said_and_nothing_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(java.VARIABLE, str(tmp_path / "none.jar"))
    assert readers.describe() == f"image files: TIFF and OME-TIFF only, read by tifffile (no Bio-Formats at {tmp_path}/none.jar)"
    (tmp_path / "none.jar").touch()
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(java.NoJava, match="no Java is installed"):
        java.check()


def test_the_jar_is_looked_for_below_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(java.VARIABLE, raising=False)
    monkeypatch.setattr("sys.prefix", "/some/where")
    assert java.jar() == Path("/some/where/share/bioformats/bioformats_package.jar")
