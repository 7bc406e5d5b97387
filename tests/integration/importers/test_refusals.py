# SPDX-License-Identifier: GPL-2.0-or-later
"""What the server's refusals become: a sentence that names the file and what to do, and its log in that of the order."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import omero.all
import pytest
import tifffile

from omero_adi_plugin.errors import AdiError, FileBroken, FileGrowing, FileMissing, FormatUnknown, ImportRefused
from omero_adi_plugin.importers import serverlog
from omero_adi_plugin.importers.handles import Bell
from omero_adi_plugin.importers.refusals import fault_of_files
from omero_adi_plugin.orders import FileStep
from tests.fixtures.importing import FAKE, planned

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.importing import Importing
    from tests.fixtures.omero import ServerHere

OME = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{own}">'
    '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="8" SizeY="8" SizeZ="2" SizeC="1"'
    ' SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
    '<TiffData FirstZ="0" PlaneCount="1" IFD="0"><UUID FileName="z0.ome.tif">urn:uuid:{first}</UUID></TiffData>'
    '<TiffData FirstZ="1" PlaneCount="1" IFD="0"><UUID FileName="z1.ome.tif">urn:uuid:{second}</UUID></TiffData>'
    "</Pixels></Image></OME>"
)
UUIDS = [f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2)]


def error(name: str, message: str, trace: str = "") -> omero.cmd.ERR:
    return omero.cmd.ERR("::omero::grid::ImportRequest", name, {"message": message, "stacktrace": trace})


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (error("error-on-init", "Unknown file format: x", "loci.formats.UnknownFormatException: x"), FormatUnknown, "no reader"),
        (error("import-unknown-format", "x"), FormatUnknown, "no reader"),
        (error("import-missing-library", "x"), ImportRefused, "lacks a library"),
        (error("error-on-init", "x", "a.B: x\nCaused by: loci.formats.MissingLibraryException: x"), ImportRefused, "lacks"),
        (error("error-on-init", "Missing file z1.ome.tif associated with UUID x"), FileBroken, "a file of the set is missing"),
        (error("import-file-exception", "x"), FileBroken, "not copied completely"),
        (error("error-on-init", "null", "java.lang.RuntimeException\nCaused by: java.io.EOFException"), FileBroken, "copied"),
        (error("error-on-init", "x", "java.io.FileNotFoundException: x (Permission denied)"), ImportRefused, "cannot open"),
        (error("error-on-init", "No IFDs found", "loci.formats.FormatException: No IFDs found"), ImportRefused, "No IFDs found"),
        (error("error-on-init", "x\n\tat java.io.EOFException", "q\n\tat java.io.EOFException(x)"), ImportRefused, ": x"),
    ],
)
def test_a_fault_of_the_files_is_told_by_class_and_name(
    one: Path, answer: omero.cmd.ERR, kind: type[AdiError], words: str
) -> None:
    meaning = fault_of_files(answer, planned(one))
    assert type(meaning) is kind
    assert words in str(meaning)
    assert one.name in str(meaning)


@pytest.mark.parametrize(
    "answer",
    [
        error("import-request-failure", "omero.ValidationException"),
        error("update-log-file-size", "omero.ValidationException"),
        error("error-on-init", "Java heap space", "java.lang.OutOfMemoryError: Java heap space"),
        error("cancelled", "cancelled by the client"),
    ],
)
def test_what_says_nothing_of_the_files_is_no_fault_of_theirs(one: Path, answer: omero.cmd.ERR) -> None:
    assert fault_of_files(answer, planned(one)) is None


def test_what_the_disk_says_is_surer(one: Path) -> None:
    plan, answer = planned(one), error("error-on-init", "No IFDs found")
    one.write_bytes(b"longer or shorter")
    assert isinstance(fault_of_files(answer, plan), FileGrowing)
    one.unlink()
    assert isinstance(fault_of_files(answer, plan), FileMissing)


def test_a_set_without_one_of_its_files_is_broken(importing: Importing, tmp_path: Path) -> None:
    first = tmp_path / "z0.ome.tif"
    description = OME.format(own=UUIDS[0], first=UUIDS[0], second=UUIDS[1])
    tifffile.imwrite(first, np.zeros((8, 8), "u2"), description=description, metadata=None)
    with pytest.raises(FileBroken, match=r"a file of the set is missing .*z1\.ome\.tif"):
        importing.begin(importing.plan(first, reader="loci.formats.in.OMETiffReader"))


def test_a_format_that_the_server_has_no_reader_for_is_unknown(importing: Importing, tmp_path: Path) -> None:
    path = tmp_path / "notes.xyz"
    path.write_text("no image")
    with pytest.raises(FormatUnknown, match=r"notes\.xyz.*no reader"):
        importing.begin(importing.plan(path, reader=FAKE))


def test_the_servers_log_of_a_failed_import_is_kept_for_the_order_alone(
    importing: Importing, one: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one.write_bytes(b"no TIFF at all")
    with caplog.at_level(logging.DEBUG, "omero_adi_plugin"), pytest.raises(ImportRefused):
        importing.begin(importing.plan(one))
    kept = [record for record in caplog.records if record.getMessage() == "server.log"]
    assert any("error-on-init" in vars(record)["facts"]["line"] for record in kept)
    assert {vars(record)["facts"]["order"] for record in kept} == {importing.order}
    assert all(vars(record)["order_alone"] for record in kept)


def test_of_a_long_log_the_end_is_kept(
    importing: Importing, one: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def whole_log() -> list[str]:
        caplog.clear()
        serverlog.keep_log(importing.session, fileset, order="x")
        return [vars(record)["facts"]["line"] for record in caplog.records if record.getMessage() == "server.log"]

    caplog.set_level(logging.DEBUG, "omero_adi_plugin")
    fileset = importing.begin(importing.plan(one))
    lines = whole_log()
    monkeypatch.setattr(serverlog, "MOST_LINES", 3)
    assert whole_log() == lines[-3:]
    monkeypatch.setattr(serverlog, "MOST_BYTES", len(lines[-1]) + len(lines[-2]) + 5)
    assert whole_log() == lines[-2:]


def test_a_log_that_cannot_be_had_is_no_failure(
    server_here: ServerHere, importing_here: Importing, one: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one.write_bytes(b"no TIFF at all")
    server_here.disturb.fail("RawFileStore.setFileId", exception="omero.ResourceError")
    with caplog.at_level(logging.DEBUG, "omero_adi_plugin"), pytest.raises(ImportRefused):
        importing_here.begin(importing_here.plan(one))
    assert "server.log_not_read" in caplog.messages
    assert importing_here.found() == ()


def test_a_server_that_asks_the_bell_what_it_is_gets_an_answer(importing: Importing) -> None:
    client, bell = importing.session.client, Bell()
    communicator = client.getCommunicator()
    adapter = communicator.createObjectAdapterWithEndpoints("bell", "tcp -h 127.0.0.1")
    adapter.activate()
    try:
        proxy = adapter.addWithUUID(bell).ice_router(None).ice_collocationOptimized(False)
        callback = omero.cmd.CmdCallbackPrx.checkedCast(proxy)
        callback.step(1, 5)
        assert not bell.rung.is_set()
        callback.finished(omero.cmd.OK(), omero.cmd.Status())
        assert bell.rung.is_set()
    finally:
        adapter.destroy()


def test_steps_after_a_refusal_are_not_told(importing: Importing, one: Path) -> None:
    one.write_bytes(b"no TIFF at all")
    with pytest.raises(ImportRefused):
        importing.begin(importing.plan(one))
    assert importing.steps == [FileStep.CREATED, FileStep.VERIFYING]
