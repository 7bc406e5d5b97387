# SPDX-License-Identifier: GPL-2.0-or-later
"""What commands say and do of orders whose files a converter has made."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from omero_adi_plugin.importers.existing import held
from omero_adi_plugin.orders import MARKER_NAMESPACE
from omero_adi_plugin.tracking.ledger import Ledger
from tests.fixtures.converted import ConvertedOrder
from tests.fixtures.filesets import delete
from tests.fixtures.inside import Inside
from tests.fixtures.services import ONCE, Services


@pytest.fixture
def done(converted_order: ConvertedOrder, services: Services) -> ConvertedOrder:
    """It has completed, and its links were renewed."""
    services.configure(converter_temp=str(converted_order.settings.converter_temp))
    assert converted_order.tidy()
    converted_order.complete()
    return converted_order


def findings(inside: Inside, *, status: int = os.EX_DATAERR) -> list[dict[str, Any]]:
    ended = inside("verify", "--json")
    assert ended.status == status, ended.stderr
    found: list[dict[str, Any]] = json.loads(ended.stdout)["findings"]
    return found


def test_nothing_is_said_of_outputs_that_are_where_they_are_kept(inside: Inside, done: ConvertedOrder) -> None:
    ended = inside("verify", done.uuid)
    assert (ended.status, ended.stdout) == (0, "1 order, 1 fileset, 2 files looked at: all is as it was imported\n")


def test_links_that_lead_where_nothing_stays_are_named(
    inside: Inside, converted_order: ConvertedOrder, services: Services
) -> None:
    services.configure(converter_temp=str(converted_order.settings.converter_temp))
    converted_order.complete()
    first, _ = findings(inside)
    assert (first["kind"], first["wrong"], first["output"]) == ("link temporary", True, "a.tif")
    converted = converted_order.converted
    assert (
        f"leads to '{converted.temp / 'a.tif'}', which will not stay, and not to '{converted.kept / 'a.tif'}'" in first["finding"]
    )
    assert first["remedy"].startswith(f"`omero adi orders retry {converted_order.uuid}` ")
    shown = inside("verify").stdout
    assert f"{converted.entry} → a.tif: " in shown
    assert converted_order.tidy()
    assert findings(inside, status=0) == []


def test_an_output_that_somebody_has_deleted_is_named_by_where_it_was_kept(inside: Inside, done: ConvertedOrder) -> None:
    (done.converted.kept / "a.tif").unlink()
    [found] = findings(inside)
    assert (found["kind"], found["output"]) == ("link dangling", "a.tif")
    assert str(done.converted.kept / "a.tif") in found["finding"]


def test_where_only_the_comment_of_an_output_is_gone_it_is_said_which(inside: Inside, done: ConvertedOrder) -> None:
    session = done.runs.lab.session
    markers = "select a.id from FilesetAnnotationLink l join l.child a where l.parent.id = :id and a.ns = :ns"
    [[comment]] = session.query(markers, id=done.imported.fileset, ns=MARKER_NAMESPACE)
    delete(session, "Annotation", [comment])
    [found] = findings(inside)
    assert found["kind"] == "marker missing"
    assert f"`{done.uuid} 1 {done.key}`" in found["remedy"]


def test_an_order_is_shown_with_what_was_made_of_its_entries(inside: Inside, done: ConvertedOrder) -> None:
    assert f"{done.converted.entry} → a.tif\n" in inside("orders", "show", done.uuid).stdout
    [file] = json.loads(inside("orders", "show", done.uuid, "--json").stdout)["files"]
    assert (file["entry"], file["output"], file["step"]) == (str(done.converted.entry), "a.tif", "annotated")


def test_undoing_removes_outputs_from_omero_and_keeps_the_files(inside: Inside, done: ConvertedOrder) -> None:
    ended = inside("orders", "undo", done.uuid, "--yes")
    assert (ended.status, ended.stdout.splitlines()[-1]) == (0, f"order {done.uuid}: 1 fileset removed from OMERO")
    assert done.runs.lab.images() == []
    assert done.converted.targets() == []
    assert {path for path in done.converted.root.rglob("*.tif") if path.is_file()} == {
        done.converted.kept / "a.tif",
        done.converted.kept / "b" / "c.tif",
    }
    assert [line.fileset for line in Ledger(done.runs.database, done.claim.lease).files()] in ([], [None])
    assert findings(inside, status=0) == []


def test_what_another_order_makes_again_is_held_already(done: ConvertedOrder) -> None:
    session, target = done.runs.lab.session, done.converted.importing.target
    assert held(session, target, [done.plan]) == {done.key: done.imported}


@pytest.mark.usefixtures("without_java")
def test_ordered_again_it_has_its_links_renewed_and_nothing_is_converted(
    inside: Inside, converted_order: ConvertedOrder, services: Services
) -> None:
    services.configure(converter_temp=str(converted_order.settings.converter_temp), containers={"allow": ["localhost/*"]})
    converted_order.complete()
    assert inside("orders", "retry", converted_order.uuid).status == 0
    assert services.run(*ONCE).returncode == 0
    assert findings(inside, status=0) == []
    assert not converted_order.converted.home.exists()
    assert converted_order.runs.lab.images() == list(converted_order.imported.images)
