# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that cannot be imported: each is named with its reason, the others of its order go in."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import tifffile

from tests.fixtures.facility import Facility
from tests.fixtures.samples import Samples
from tests.fixtures.waiting import wait_until


def test_every_bad_entry_gets_its_sentence_and_the_good_ones_go_in(facility: Facility, samples: Samples) -> None:
    folder, outside = samples.folder, samples.folder.parent.parent
    whole = Path(samples.image("whole.ome.tif")).read_bytes()
    stack = folder / "stack.tif"
    tifffile.imwrite(stack, np.ones((8, 256, 256), "u2"), photometric="minisblack")
    (folder / "no-end.tif").write_bytes(stack.read_bytes()[:-100_000])
    (folder / "half.ome.tif").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.tif").touch()
    os.mkfifo(folder / "pipe.tif")
    (folder / "loop.tif").symlink_to(folder / "loop.tif")
    (folder / "dangling.tif").symlink_to(folder / "gone.tif")
    (outside / "secret.tif").write_bytes(whole)
    (folder / "out.tif").symlink_to(outside / "secret.tif")
    (folder / "text.tif").write_text("no image at all")
    (folder / "nothing").mkdir()
    bad = {
        "none.tif": "does not exist",
        "stack.tif/below": "does not exist",
        "loop.tif": "does not exist",
        "dangling.tif": "does not exist",
        "no-end.tif": "it ends before",
        "half.ome.tif": "it ends before",
        "empty.tif": "it is empty",
        "pipe.tif": "no ordinary file",
        "out.tif": "lies outside",
        "../../secret.tif": "lies outside",
        "../../not-there.tif": "lies outside",
        "text.tif": "",
        "nothing": "holds nothing that can be imported",
        "a" * 256: "under its name",
    }
    paths = {f"{folder}/{name}": words for name, words in bad.items()}
    order = facility.order(samples.image("good.ome.tif"), *paths, str(stack))
    facility.carry_out(order)
    sentences = facility.sentences(order)
    assert sentences.keys() == paths.keys()
    assert {path: words for path, words in paths.items() if words not in sentences[path]} == {}
    assert all("order again" in sentence or "Save it as" in sentence for sentence in sentences.values())
    assert len(facility.lab.images()) == 2
    stage, description = facility.end(order)
    assert stage == "Import Failed"
    assert description is not None
    assert description.startswith("14 of 16 files could not be imported, the others are in OMERO.")
    log = facility.log()
    assert log.count("event=security.path_outside_roots") == 3
    assert f"order={order}" in next(line for line in log.splitlines() if "security.path_outside_roots" in line)


def test_a_group_imports_from_its_own_roots_only(facility: Facility, samples: Samples) -> None:
    other = samples.folder.parent / "other"
    other.mkdir()
    shared, theirs = Samples(samples.folder).image(), Samples(other).image("theirs.ome.tif")
    roots = json.dumps({facility.lab.group: [str(samples.folder)], "*": [str(other)]})
    order = facility.order(shared, theirs)
    facility.carry_out(order, group_roots=roots)
    assert facility.sentences(order) == {
        theirs: f"'{theirs}' lies outside '{samples.folder}', where files to import must lie. Move it there and order again."
    }
    assert len(facility.lab.images()) == 1


def test_files_that_the_server_or_we_may_not_read(facility: Facility, samples: Samples) -> None:
    good, closed = samples.image(), samples.image("closed.ome.tif")
    folder = samples.folder / "closed"
    folder.mkdir()
    below = Samples(folder).image()
    Path(closed).chmod(0o600)
    folder.chmod(0o700)
    order = facility.order(good, closed, below)
    facility.carry_out(order, server_account="nobody")
    sentences = facility.sentences(order)
    assert sentences.keys() == {closed, below}
    assert all("cannot be read by 'nobody'" in sentence for sentence in sentences.values())
    assert len(facility.lab.images()) == 1


def test_an_account_of_the_server_that_is_not_there_fails_nobodys_order(facility: Facility, samples: Samples) -> None:
    done = facility.services.run(
        "import", samples.image(), "--into", f"Dataset:{facility.lab.dataset}", "--for", facility.lab.user,
        "--in-group", facility.lab.group, "--set", "server_account=nobody-of-this-name",
    )  # fmt: skip
    assert done.returncode == os.EX_CONFIG
    assert "no account 'nobody-of-this-name'" in done.stderr
    assert facility.lab.images() == []


def test_a_base_dir_whose_mount_is_away_fails_nobodys_order(facility: Facility, data_folder: Path) -> None:
    order = ("--into", f"Dataset:{facility.lab.dataset}", "--for", facility.lab.user, "--in-group", facility.lab.group)
    for base in (data_folder, data_folder / "none"):
        done = facility.services.run("import", data_folder / "none" / "a.tif", *order, "--set", f"base_dir={base}")
        assert done.returncode == os.EX_UNAVAILABLE
        assert "orders wait meanwhile" in done.stderr


def test_a_file_that_is_still_written_is_imported_when_it_is_whole(facility: Facility, samples: Samples) -> None:
    path = samples.folder / "growing.tif"
    pixels = np.arange(64 * 64, dtype="u2").reshape(64, 64)
    tifffile.imwrite(path, pixels)
    order = facility.order(str(path))
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            tifffile.imwrite(path.with_suffix(".new"), pixels, description=str(time.monotonic()))
            path.with_suffix(".new").replace(path)
            done.wait(0.2)

    writer = threading.Thread(target=write)
    writer.start()
    process = facility.services.start(max_workers=1, settle_seconds=1)
    try:
        wait_until(lambda: "still being written" in facility.log(), what="the file to be noticed")
        assert facility.lab.images() == []
    finally:
        done.set()
        writer.join()
    facility.tracking.sql("UPDATE imports SET stage = 'Import Pending' WHERE uuid = %s", order)  # it is tried again at once
    facility.tracking.wait(order, seconds=60)
    assert facility.services.stop(process) == os.EX_OK
    assert facility.end(order) == ("Import Completed", None)
    assert len(facility.lab.images()) == 1


def test_a_file_of_which_only_half_has_arrived_is_not_called_broken(facility: Facility, samples: Samples) -> None:
    folder = samples.folder / "copied"
    folder.mkdir()
    pixels = np.arange(64 * 64, dtype="u2").reshape(64, 64)
    good, arriving = folder / "good.tif", folder / "arriving.tif"
    for path in (good, arriving):
        tifffile.imwrite(path, pixels)
    long_ago = time.time() - 7200
    os.utime(good, (long_ago, long_ago))
    os.truncate(arriving, 5000)
    order = facility.order(str(folder))
    process = facility.services.start(max_workers=1, settle_seconds=3600)
    wait_until(lambda: "order.retried_later" in facility.log(), what="the file to be noticed")
    assert "still being written" in facility.log()
    assert len(facility.lab.images()) == 1
    tifffile.imwrite(arriving, pixels)
    os.utime(arriving, (long_ago, long_ago))
    facility.tracking.sql("UPDATE imports SET stage = 'Import Pending' WHERE uuid = %s", order)  # it is tried again at once
    facility.tracking.wait(order, seconds=60)
    assert facility.services.stop(process) == os.EX_OK
    assert facility.end(order) == ("Import Completed", None)
    assert len(facility.lab.images()) == 2
