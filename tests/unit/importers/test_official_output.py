# SPDX-License-Identifier: GPL-2.0-or-later
"""What OMERO's importer prints (as recorded from a real server), whole, broken, and in pieces."""

from __future__ import annotations

import pytest

from omero_adi_plugin.importers.official.output import Complaint, Output

LOG = """\
2026-11-27 21:00:00,100 314        [      main] INFO    ome.formats.importer.ImportConfig - OMERO.blitz Version: null
2026-11-27 21:00:00,200 824        [      main] INFO  loci.formats.ImageReader - TiffDelegateReader initializing /j/bad.tif
2026-11-27 21:00:00,300 825        [      main] ERROR o.formats.importer.cli.ErrorHandler - FILE_EXCEPTION: /j/bad.tif
loci.formats.FormatException: Invalid TIFF file: /j/bad.tif
\tat loci.formats.in.MinimalTiffReader.initFile(MinimalTiffReader.java:450)
Caused by: java.io.IOException: not this one
2026-11-27 21:00:00,400 3145       [l.Client-0] INFO  o.formats.importer.cli.ErrorHandler - Number of errors: 1

==> Summary
2 files uploaded, 2 filesets created, 2 images imported, 1 error in 0:00:01.354"""


def read(out: str = "", err: str = "", *, ended: bool = True) -> Output:
    output = Output()
    for line in err.splitlines():
        output.err(line)
    for line in out.splitlines():
        output.out(line)
    if ended:
        output.end()
    return output


@pytest.mark.parametrize(
    ("out", "filesets"),
    [
        ("---\n- Fileset: 374\n  Image: [1726]\n---\n- Fileset: 375\n  Image: [1727,1728,1729]", [374, 375]),
        ("---\n- Fileset: 379\n  Plate: [46]", [379]),
        ("- Fileset: 374\n  Image: [1726]\n- Fileset: 375\n  Image: [1727]", [374, 375]),
        ("---\n- Fileset: 1\n  Image: [1,\n    2,3]\n---\n- Fileset: 2\n  Image: [4]", [1, 2]),
        ("---\n- Fileset: [\n---\n- Fileset: 2\n  Image: [4]", [2]),
        ("---\n- Fileset: x\n---\n- Image: 3\n---\n- Fileset: true\n---\n- Fileset: -1", []),
        ("Image:5\nsome words\n---\nmore words\n- Fileset: 3\n  Image: [9]", [3]),
        ("", []),
    ],
)
def test_filesets_are_read_from_what_is_a_document(out: str, filesets: list[int]) -> None:
    assert read(out).new_filesets() == filesets


def test_a_document_that_was_cut_short_is_not_believed() -> None:
    output = read("---\n- Fileset: 374\n  Image: [1726]\n---\n- Fileset: 37", ended=False)
    assert output.new_filesets() == [374]
    assert output.new_filesets() == []


def test_endless_lists_take_no_endless_room() -> None:
    output = Output()
    output.out("---")
    for _ in range(3000):
        output.out("  " + "1," * 1000)
    assert sum(map(len, output._document)) < 2**21


def test_a_complaint_has_the_file_and_the_words_of_the_first_exception() -> None:
    output = read(err=LOG)
    assert output.complaint("/j/bad.tif") == Complaint(
        kind="FILE_EXCEPTION", exception="loci.formats.FormatException", words="Invalid TIFF file: /j/bad.tif"
    )
    assert output.complaint("/j/good.tif") is None
    assert output.started


def test_a_log_on_stdout_is_read_as_well() -> None:
    output = read(out=LOG + "\n---\n- Fileset: 3\n  Image: [9]")
    assert output.complaint("/j/bad.tif") is not None
    assert output.new_filesets() == [3]


def test_a_complaint_about_a_name_of_two_lines_is_found() -> None:
    output = read(err="x [      main] ERROR a.ErrorHandler - UNKNOWN_FORMAT: /j/two\nlines.tif\njava.lang.Exception: words")
    complaint = output.complaint("/j/two\nlines.tif")
    assert complaint is not None
    assert complaint.kind == "UNKNOWN_FORMAT"


def test_what_java_itself_says_is_no_sign_that_the_importer_runs() -> None:
    output = read(err="NOTE: Picked up JDK_JAVA_OPTIONS: -Dx=y\nError: Could not find or load main class X\n\tat y\n")
    assert not output.started
    assert output.last == "Error: Could not find or load main class X"
