# SPDX-License-Identifier: GPL-2.0-or-later
"""`omero adi convert`, as who writes a converter types it: there is no OMERO, no database, and no settings file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from omero_adi_plugin.commands.exits import end
from omero_adi_plugin.commands.parser import configure
from tests.fixtures.inside import Ended
from tests.fixtures.podman import Podman
from tests.fixtures.waiting import WAIT_SECONDS, wait_until

Convert = Callable[..., Ended]

TWO = """
echo "converting $2 $4"
echo "not sure about channel 3" >&2
mkdir /out/second
cp /data/made.ome.tif /out/first.ome.tif
cp /data/made.ome.tif /out/second/plane.ome.tif
echo seen > /data/.processed/report.txt
first='{"name": "the first", "alt_path": "/out/first.ome.tif", "keyvalues": [{"Laser": ["488", 561]}]}'
echo "[$first, {\\"alt_path\\": \\"/out/second/plane.ome.tif\\"}]"
"""

HANGS = "trap '' TERM; echo it hangs; while true; do sleep 1; done"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What is to be converted, and what a converter that cannot write images copies."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "scan.raw").write_bytes(b"raw data")
    tifffile.imwrite(folder / "made.ome.tif", np.arange(20, dtype=np.uint8).reshape(4, 5), ome=True, photometric="minisblack")
    return folder


@pytest.fixture
def bare(podman: Podman, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of somebody who has podman, and nothing of ours but the command."""
    for name in [name for name in os.environ if name.startswith(("OMERO", "ADI_", "INGEST_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def convert(bare: Path, capsys: pytest.CaptureFixture[str]) -> Convert:
    """Runs the command in this process; it reads TIFF alone, as starting Java takes a second."""

    def run(image: str, *more: str, path: str = "data/scan.raw", java: bool = False) -> Ended:
        parser = ArgumentParser(prog="adi")
        configure(parser, lambda _: None)
        words = ["convert", path, "--container", image, *more]
        capsys.readouterr()
        ending = end(parser.parse_args(words if java else [*words, "--set", f"bioformats_jar={bare}/none"]))
        printed = capsys.readouterr()
        return Ended(status=ending.status, stdout=printed.out, stderr=printed.err + ending.words)

    return run


def left(podman: Podman, folder: Path) -> list[str]:
    """Everything that is there, but what was to be converted."""
    found = [str(path.relative_to(folder)) for path in folder.rglob("*")]
    return podman.containers() + sorted({*found} - {"data", "data/scan.raw", "data/made.ome.tif"})


def test_it_shows_what_would_be_imported_and_leaves_nothing(convert: Convert, podman: Podman, data: Path) -> None:
    done = convert(podman.converter(TWO), "--param", "laser=488", "--json", java=True)
    assert done.status == os.EX_OK, done.stderr
    told = json.loads(done.stdout)
    first, second = told["outputs"]
    assert (first["name"], first["format"], first["images"], first["plates"]) == ("the first", "OME-TIFF", 1, 0)
    assert first["keyvalues"] == [["Laser", "488"], ["Laser", "561"], ["container_digest", told["digest"]]]
    assert [file["place"] for file in first["files"]] == [f"{data}/.processed/first.ome.tif"]
    assert (second["name"], second["key"]) == (None, f"{data}/scan.raw#second/plane.ome.tif")
    assert told["not_imported"] == [{"name": "report.txt", "bytes": 5, "place": f"{data}/.processed/report.txt"}]
    assert (told["failures"], told["bioformats"], told["kept"]) == ([], "7.3.1", None)
    assert done.stderr.splitlines()[0].startswith("No settings say which converters may run")
    assert "out| converting /data/scan.raw 488\n" in done.stderr
    assert "err| not sure about channel 3\n" in done.stderr
    assert left(podman, data.parent) == []


def test_a_person_gets_a_table_and_keeps_what_was_made_if_wanted(convert: Convert, podman: Podman, data: Path) -> None:
    image = podman.converter(TWO)
    done = convert(image, "--keep", "deep/made")
    assert done.status == os.EX_OK, done.stderr
    assert f"first.ome.tif\tthe first\tOME-TIFF\t1\t0\t885 B\t{data}/.processed/first.ome.tif\n" in done.stdout.replace(
        f"\t{(data / 'made.ome.tif').stat().st_size} B\t", "\t885 B\t"
    )
    assert "first.ome.tif\tLaser\t561\n" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"2 filesets, 2 images, 0 plates of {data}/scan.raw, made by {image} in ")
    kept = ["first.ome.tif", "report.txt", "second", "second/plane.ome.tif"]
    assert left(podman, data.parent) == ["deep", "deep/made", *(f"deep/made/{name}" for name in kept)]
    assert (data.parent / "deep/made/first.ome.tif").read_bytes() == (data / "made.ome.tif").read_bytes()
    again = convert(image, "--keep", "deep/made")
    assert (again.status, again.stdout) == (os.EX_USAGE, "")
    assert "something lies in" in again.stderr


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (
            "echo progress; echo 'cannot read channel 3' >&2; exit 3",
            "The converter could not convert '{path}': it ended with status 3 and said 'cannot read channel 3'.",
        ),
        ("echo nothing to do", "The converter made nothing of '{path}'."),
        (
            """echo '{"alt_path": "/out/../../etc/passwd"}'""",
            "made of '{path}' cannot be imported: '/out/../../etc/passwd' does not lie in /data/.processed or /out.",
        ),
        ("echo x > /data/made.ome.tif", "`source_mount: rw`"),
        ("echo no image > /out/made.tif", "cannot be imported: 'made.tif': "),
    ],
)
def test_what_goes_wrong_is_said_in_a_sentence_of_its_own(
    convert: Convert, podman: Podman, data: Path, script: str, sentence: str
) -> None:
    done = convert(podman.converter(script), "--keep", "made")
    assert done.status == os.EX_DATAERR
    assert sentence.format(path=data / "scan.raw") in done.stderr
    assert "order" not in done.stderr.partition("refused.")[2]  # there is none, and no log of one
    assert [name for name in left(podman, data.parent) if not name.startswith("made")] == []


def test_settings_count_where_there_are_some(convert: Convert, podman: Podman, data: Path) -> None:
    temp = data.parent / "temp"
    temp.mkdir()
    image = podman.converter("cp /data/made.ome.tif /out; ls /data/.processed/..; exit 4")
    Path("settings.yml").write_text(json.dumps({"containers": {"allow": ["docker.io/*/*"]}, "converter_temp": str(temp)}))
    done = convert(image, "--config", "settings.yml")
    assert (done.status, done.stdout) == (os.EX_DATAERR, "")
    assert f"The converter '{image}' may not run here." in done.stderr
    allowed = ["--set", f'containers={{"allow": ["{image}"]}}']
    assert "said 'made.ome.tif / scan.raw'" in convert(image, "--config", "settings.yml", *allowed).stderr
    temp.rmdir()  # nothing is in it
    done = convert(image, "--config", "settings.yml", *allowed)
    assert done.status == os.EX_TEMPFAIL  # it may be a mount that comes back
    assert "`converter_temp`" in done.stderr


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        (["--set", "podman_socket=/no/such"], os.EX_UNAVAILABLE, "No converter can run here: no podman listens at '/no/such'"),
        (["--param", "inputfile=/etc/passwd"], os.EX_USAGE, "Nothing was converted: `extra_params` gives 'inputfile'"),
        (["--param", "a"], os.EX_USAGE, "'a' is not of this form"),
        (["--keep", "data"], os.EX_USAGE, "something lies in"),
        (["--keep", "data/scan.raw"], os.EX_USAGE, "--keep needs a folder"),
        (["--set", "converter_cpus=many"], os.EX_CONFIG, "converter_cpus"),
    ],
)
def test_what_cannot_be_tried_is_said_before_anything_is(
    convert: Convert, podman: Podman, data: Path, more: list[str], status: int, words: str
) -> None:
    done = convert(podman.converter("exit 3"), *more)
    assert (done.status, done.stdout) == (status, "")
    assert words in done.stderr
    assert left(podman, data.parent) == []


def test_an_image_or_a_file_that_is_not_there_is_named(convert: Convert, podman: Podman, data: Path) -> None:
    missing = convert("localhost/no/such:1")
    assert missing.status == os.EX_DATAERR
    assert "The converter 'localhost/no/such:1' cannot be had: " in missing.stderr
    gone = convert(podman.converter("exit 3"), path="data/gone.raw")
    assert gone.status == os.EX_DATAERR
    assert f"'{data}/gone.raw' does not exist" in gone.stderr
    assert left(podman, data.parent) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_called_off_it_leaves_nothing(podman: Podman, bare: Path, data: Path, number: int, status: int) -> None:
    temp = bare / "temp"
    temp.mkdir()
    command = [sys.executable, "-m", "omero_adi_plugin", "convert", "data/scan.raw", "--container", podman.converter(HANGS)]
    environment = os.environ | {"TMPDIR": str(temp)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as converting:
        assert converting.stderr
        assert any("it hangs" in line for line in converting.stderr)
        assert left(podman, bare) != ["temp"]
        converting.send_signal(number)
        assert converting.wait(WAIT_SECONDS) == status
        assert "Traceback" not in converting.stderr.read()
    wait_until(lambda: podman.containers() == [], what="the container's end")
    assert left(podman, bare) == ["temp"]
