# SPDX-License-Identifier: GPL-2.0-or-later
"""The `omero` command sees no difference between our imports and those of OMERO's own client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin._version import __version__
from tests.fixtures import omero_program
from tests.fixtures.importing import EVERYTHING, Importing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fixtures.laboratory import Lab


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-P", "-W", "ignore", omero_program.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMERO_TMPDIR": str(tmp_path_factory.mktemp("omero-tmp"))},
    ) as process:
        yield process


@pytest.fixture
def command(lab: Lab, tmp_path: Path, program: subprocess.Popen[str]) -> Callable[..., str]:
    """The `omero` command of the lab's user; gives what it prints."""
    folders = {name: str(tmp_path / name) for name in ("OMERO_USERDIR", "OMERO_SESSIONDIR")}

    def run(*arguments: str) -> str:
        words = ["-s", lab.account.host, "-p", str(lab.account.port), "-u", lab.user, "-w", "secret", *arguments]
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(json.dumps({"words": words, "environment": folders}) + "\n")
        program.stdin.flush()
        status, out, err = json.loads(program.stdout.readline())
        assert status == 0, err
        return str(out)

    return run


def test_the_command_lists_times_and_downloads_what_was_imported(
    lab: Lab, command: Callable[..., str], one: Path, tmp_path: Path
) -> None:
    importing = Importing(lab, skip=EVERYTHING)
    imported = importing.run(importing.plan(one))
    prefix = lab.session.query("select s.templatePrefix from Fileset s where s.id = :id", id=imported.fileset)[0][0]
    assert command("fs", "sets", "--style", "plain").strip() == f"0,{imported.fileset},{prefix},1,1,ln_s"
    times = command("fs", "importtime", f"Fileset:{imported.fileset}")
    for part in ("upload time", "setId time", "metadata time", "pixels time", "thumbnail time"):
        assert part in times
    assert "tag[omero.import.process.checksum]" in command("fs", "logfile", f"Fileset:{imported.fileset}", "-")
    command("download", f"Image:{imported.images[0]}", str(tmp_path / "copies"))
    assert (tmp_path / "copies" / one.name).read_bytes() == one.read_bytes()


@pytest.mark.parametrize("bioformats", ["7.3.1", None])
def test_a_fileset_says_who_made_it_and_how(lab: Lab, one: Path, bioformats: str | None) -> None:
    importing = Importing(lab, bioformats=bioformats)
    fileset = importing.begin(importing.plan(one))
    query = "select j.id from FilesetJobLink l join l.child j where l.parent.id = :id and j.class = UploadJob"
    [[job]] = lab.session.query(query, id=fileset)
    told = {pair.name: pair.value for pair in lab.session.factory.getQueryService().get("UploadJob", job).versionInfo}
    recorded = {  # what OMERO's own client tells (real server, recorded: facts 13), and bioformats.version
        "bioformats.reader",
        "client.language.name",
        "client.language.vendor",
        "client.language.version",
        "os.name",
        "os.version",
        "os.architecture",
        "locale",
    }
    ours = {"client.name": "omero-adi-plugin", "client.version": __version__}
    assert set(told) == recorded | set(ours) | ({"bioformats.version"} if bioformats else set())
    assert told.get("bioformats.version") == bioformats
    assert {name: told[name] for name in ours} == ours
    assert all(told.values())
    notes = "select a.ns, a.textValue from FilesetAnnotationLink l join l.child a where l.parent.id = :id order by a.ns"
    assert lab.session.query(notes, id=fileset) == [
        ["omero-adi/order", str(importing.marker(importing.plan(one)))],
        ["openmicroscopy.org/omero/import/fileTransfer", "ome.formats.importer.transfers.SymlinkFileTransfer"],
    ]
    paths = lab.session.query("select e.clientPath from FilesetEntry e where e.fileset.id = :id", id=fileset)
    assert paths == [[str(one).lstrip("/")]]
