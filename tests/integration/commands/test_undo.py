# SPDX-License-Identifier: GPL-2.0-or-later
"""`omero adi orders undo`, as a person types it: it shows, asks, removes, and says so afterwards."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from omero_adi_plugin.orders import Claim
from omero_adi_plugin.tracking import operating
from tests.fixtures.inside import Inside
from tests.fixtures.runs import Runs


@pytest.fixture
def order(runs: Runs) -> str:
    """One of two files, with four images, which has completed."""
    claim: Claim = runs.order(runs.samples.image("a.ome.tif"), runs.samples.three_images("b.ome.tif"))
    runs.run(claim)
    runs.queue.complete(claim.lease)
    return claim.lease.order


def test_without_a_word_of_a_person_it_only_shows(runs: Runs, inside: Inside, order: str) -> None:
    before = runs.lab.images()
    shown = f"order {order}\tin OMERO\nfilesets\t2\nimages\t4\nfiles\t2\n"
    unasked = inside("orders", "undo", order)
    assert (unasked.status, unasked.stdout) == (os.EX_USAGE, shown)
    assert unasked.stderr == "Nothing was removed. Give --yes to remove it, or --dry-run to only see what that would be."
    looked = inside("orders", "undo", order, "--dry-run")
    assert (looked.status, looked.stdout, looked.stderr) == (0, f"{shown}nothing was removed\n", "")
    document = json.loads(inside("orders", "undo", order, "--dry-run", "--json").stdout)
    assert (document["uuid"], document["images"], document["removed"], document["undone"]) == (order, 4, [], False)
    assert runs.lab.images() == before


def test_it_is_said_afterwards_that_it_was_done(runs: Runs, inside: Inside, order: str, data_folder: Path) -> None:
    done = inside("orders", "undo", order, "--yes")
    assert (done.status, done.stdout.splitlines()[-1]) == (0, f"order {order}: 2 filesets removed from OMERO")
    assert done.stderr == "0/2 filesets removed\n1/2 filesets removed\n2/2 filesets removed\n"
    shown = json.loads(inside("orders", "show", order, "--json").stdout)
    assert (shown["state"], shown["stages"][-1]["stage"]) == ("completed", "Import Completed")
    [action] = shown["actions"]
    assert (action["action"], action["detail"]) == ("undone", "filesets removed: 2")
    assert shown["advice"].startswith(f"What it had imported was removed from OMERO by {action['who']} on ")
    assert inside("verify").stdout == "0 orders, 0 filesets, 0 files looked at: all is as it was imported\n"
    nothing = inside("orders", "undo", order, "--yes")
    assert (nothing.status, nothing.stdout) == (0, f"OMERO holds nothing that order {order} has imported\n")
    assert sorted(path.name for path in data_folder.rglob("*.tif")) == ["a.ome.tif", "b.ome.tif"]


def test_an_order_that_has_not_ended_is_left_alone(runs: Runs, inside: Inside, order: str) -> None:
    before = runs.lab.images()
    operating.retry(runs.database, order, who="bob@desk")
    refused = inside("orders", "undo", order, "--yes")
    assert (refused.status, refused.stdout) == (os.EX_TEMPFAIL, "")
    assert f"Order '{order}' has not ended." in refused.stderr
    running = runs.order(runs.samples.image("c.ome.tif"))
    assert inside("orders", "undo", running.lease.order, "--yes").status == os.EX_TEMPFAIL
    assert inside("orders", "undo", "nonsense", "--yes").status == os.EX_DATAERR
    assert runs.lab.images() == before
