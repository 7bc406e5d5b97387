# SPDX-License-Identifier: GPL-2.0-or-later
"""Names as people and machines write them, from the order's row to OMERO and back: each works, or is refused by name."""

import os
import secrets
from pathlib import Path

import numpy as np
import tifffile

from tests.fixtures.facility import Facility
from tests.fixtures.samples import Samples

GOOD = (
    "plain.tif",
    "  two  spaces .tif",
    'it\'s "quoted" `so`.tif',
    "M\u00fcller.tif",
    "Mu\u0308ller.tif",
    "100%25 %s {}.tif",
    "C:\\data\\x:y.tif",
    "two\nlines.tif",
    "bell\x07 and tab\t.tif",
    "\U0001f52c \u986f\u5fae\u93e1.tif",
    "a<1-3>[b](c)#d?e*f|g&h;i$j.tif",
    "http:__x@y.tif",
    "x" * 251 + ".tif",
    "\u00fc" * 125 + "y.tif",
    ".hidden.tif",
    "...tif",
    "-rf.tif",
    "con.tif",
    "UPPER.TIF",
)
NO_UTF8 = os.fsdecode(b"caf\xe9.tif")
DEEP = "".join(f"{secrets.token_urlsafe(90)}/" for _ in range(30)) + "x.tif"  # which PostgreSQL cannot make shorter
BAD = {
    DEEP: "the whole path has",
    NO_UTF8: "no valid UTF-8",
    "con." + "x" * 247 + ".tif": "a name of 255 bytes is longer than the 254",
}


def test_every_name_works_or_is_refused_by_name(facility: Facility, samples: Samples) -> None:
    folder = samples.folder / "50% of \u00fc:\n'it'"
    folder.mkdir()
    for number, name in enumerate((*GOOD, NO_UTF8)):
        tifffile.imwrite(os.path.join(folder, name), np.full((20, 30), number, "u1"))  # noqa: PTH118 (bytes that are no text)
    order = facility.order(*(f"{folder}/{name}" for name in (*GOOD, *BAD)))
    for _ in range(2):  # ordered again, all of them are recognised
        facility.carry_out(order)
        sentences = facility.sentences(order)
        assert len(sentences) == len(BAD)
        for words in BAD.values():
            assert [sentence for sentence in sentences.values() if words in sentence and "under its name" in sentence]
        assert facility.end(order)[0] == "Import Failed"
        assert in_omero(facility) == {name: number for number, name in enumerate(GOOD)}
        assert set(facility.lab.markers().values()) == {1}
        assert {key for _, key in facility.lab.markers()} == {f"{folder}/{name}" for name in GOOD}
        facility.tracking.sql("UPDATE imports SET stage = 'Import Pending' WHERE uuid = %s", order)


def in_omero(facility: Facility) -> dict[str, int]:
    """The value of each image's pixels by the name of the file that it was made of, which is also in its key-values."""
    found = {}
    hql = (
        "select i.id, i.name, e.clientPath, p.id from Pixels p join p.image i join i.fileset f join f.usedFiles e"
        " join i.datasetLinks l where l.parent.id = :id"
    )
    store = facility.lab.session.factory.createRawPixelsStore()
    try:
        for image, name, client_path, pixels in facility.lab.session.query(hql, id=facility.lab.dataset):
            store.setPixelsId(pixels, False)
            file = client_path.rpartition("/")[2]
            [values] = facility.lab.key_values(image)
            assert values["Filepath"] == f"/{client_path}"
            assert name == stored(file)
            found[file] = store.getPlane(0, 0, 0)[0]
    finally:
        store.close()
    return found


def stored(name: str) -> str:
    """What OMERO calls a file in its repository, and so an image (recorded on a real server, "Names on disk")."""
    rewritten = name.translate(str.maketrans(':?*"<>|\\', ";%x'[]!!"))
    rewritten = "".join("_" if ord(each) < 32 or ord(each) == 127 else each for each in rewritten)
    return f"_{rewritten}" if name == "con.tif" else rewritten


def test_a_name_that_the_command_line_cannot_hold_is_refused_at_once(facility: Facility, samples: Samples) -> None:
    Path(os.path.join(samples.folder, NO_UTF8)).write_bytes(b"x")  # noqa: PTH118 (bytes that are no text)
    done = facility.services.run("import", samples.folder / NO_UTF8, "--into", f"Dataset:{facility.lab.dataset}")
    assert done.returncode == os.EX_USAGE
    assert "not valid text" in done.stderr
