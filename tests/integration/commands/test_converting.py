# SPDX-License-Identifier: GPL-2.0-or-later
"""`omero adi import --container`, as a person types it: what is ordered, what is refused, what is foreseen, what comes of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.fixtures.inside import Inside
from tests.fixtures.laboratory import Lab
from tests.fixtures.podman import Podman
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking

IMAGE = "docker.io/lab/convert:1"


@pytest.fixture
def command(lab: Lab, inside: Inside, services: Services) -> list[str]:
    services.configure(containers={"allow": ["docker.io/lab/*"]})
    return ["import", "--into", f"Dataset:{lab.dataset}", "--for", lab.user, "--in-group", lab.group]


def orders(tracking: Tracking) -> int:
    [[count]] = tracking.sql("SELECT (SELECT count(*) FROM imports) + (SELECT count(*) FROM imports_preprocessing)")
    return int(count)


def test_what_a_converter_is_to_do_goes_with_the_order(
    command: list[str], inside: Inside, samples: Samples, tracking: Tracking
) -> None:
    asked = ["--container", IMAGE, "--param", "saveoption=single", "--param=--note=a = b", "--param", "empty="]
    done = inside(*command, samples.image(), *asked, "--queue")
    assert done.status == os.EX_OK, done.stderr
    columns = "p.container, p.input_file, p.output_folder, p.alt_output_folder, p.extra_params"
    found = tracking.sql(
        f"SELECT {columns} FROM imports i JOIN imports_preprocessing p ON p.id = i.preprocessing_id WHERE i.uuid = %s",
        done.stdout.strip(),
    )
    assert found == [(IMAGE, "{Files}", "/data", "/out", {"saveoption": "single", "note": "a = b", "empty": ""})]


def test_whoever_orders_may_have_it_converted_at_once(
    command: list[str],
    lab: Lab,
    inside: Inside,
    services: Services,
    samples: Samples,
    tracking: Tracking,
    podman: Podman,
    tmp_path: Path,
) -> None:
    image = podman.converter('cp "$2" /out/"$4".ome.tif')
    (tmp_path / "temp").mkdir()
    services.configure(containers={"allow": [image]}, converter_temp=str(tmp_path / "temp"), log_file_path="")
    done = inside(*command, samples.image("scan.ome.tif"), "--container", image, "--param", "called=day1", "--json")
    assert done.status == os.EX_OK, done.stderr
    report = json.loads(done.stdout)
    [file] = report["files"]
    assert (file["entry"], file["output"], file["images"]) == (f"{samples.folder}/scan.ome.tif", "day1.ome.tif", lab.images())
    assert tracking.stages(report["uuid"]) == ["Import Pending", "Import Started", "Import Preprocessing", "Import Completed"]
    assert Path(samples.folder, ".processed", "day1.ome.tif").is_file()
    assert list((tmp_path / "temp").iterdir()) == []
    assert podman.containers() == []


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        (["--param", "a=b"], os.EX_USAGE, "--param is for a converter, and there is none."),
        (["--container", IMAGE, "--param", "a"], os.EX_USAGE, "'a' is not of this form"),
        (["--container", IMAGE, "--param", "=a"], os.EX_USAGE, "'=a' is not of this form"),
        (["--container", IMAGE, "--param", "a=1", "--param=--a=2"], os.EX_USAGE, "--param gives 'a' twice."),
        (["--container", IMAGE, "--param", "inputfile=/etc/passwd"], os.EX_USAGE, "which is not for an order to say"),
        (["--container", "lab/.."], os.EX_USAGE, "Nothing was ordered: `container` of the preprocessing is 'lab/..'"),
        (["--container", " "], os.EX_USAGE, "Nothing was ordered: "),
        (
            ["--container", "docker.io/other/convert:1"],
            os.EX_DATAERR,
            "The converter 'docker.io/other/convert:1' may not run here.",
        ),
    ],
)
@pytest.mark.parametrize("how", ["--queue", "here"])
def test_what_makes_no_sense_or_may_not_run_is_not_ordered(
    command: list[str], inside: Inside, samples: Samples, tracking: Tracking, how: str, more: list[str], status: int, words: str
) -> None:
    done = inside(*command, samples.image(), *more, *([] if how == "here" else [how]))
    assert (done.status, done.stdout) == (status, "")
    assert words in done.stderr
    assert orders(tracking) == 0


def test_a_dry_run_says_what_would_be_converted_and_that_nobody_knows_what_comes_of_it(
    command: list[str], inside: Inside, samples: Samples, tracking: Tracking, data_folder: Path
) -> None:
    scan, folder, missing = data_folder / "scan.lif", data_folder / "raw.d", data_folder / "gone.lif"
    scan.write_bytes(b"nothing that Bio-Formats reads")
    folder.mkdir()
    (folder / "part").write_bytes(b"1234")
    done = inside(*command, str(scan), str(folder), "--container", IMAGE, "--dry-run")
    assert done.status == os.EX_OK, done.stderr
    assert f"30 B\tconvert\t{scan}\n4 B\tconvert\t{folder}\n2 to be converted by {IMAGE} into " in done.stdout
    assert f"`omero adi convert PATH --container {IMAGE}`" in done.stderr
    asked = ["--container", IMAGE, "--param", "a=b", "--dry-run", "--json"]
    done = inside(*command, str(scan), str(missing), "/etc/passwd", *asked)
    assert done.status == os.EX_DATAERR
    told = json.loads(done.stdout)
    assert (told["container"], told["parameters"]) == (IMAGE, {"a": "b"})
    assert [(each["entry"], each["bytes"], [why["error"] for why in each["failures"]]) for each in told["entries"]] == [
        (str(scan), 30, []),
        (str(missing), 0, ["FileMissing"]),
        ("/etc/passwd", 0, ["PathOutsideRoots"]),
    ]
    assert orders(tracking) == 0
