# SPDX-License-Identifier: GPL-2.0-or-later
"""Ordering from Python, and orders that are carried out by who submits them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from omero_adi_plugin import IngestionTracking, Preprocessing
from omero_adi_plugin.errors import UsageError
from omero_adi_plugin.orders import Target
from omero_adi_plugin.tracking.losses import free_lapsed
from omero_adi_plugin.tracking.submit import submit_claimed, submit_order

if TYPE_CHECKING:
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.intake import Intake
    from omero_adi_plugin.tracking.queue import Queue
    from tests.fixtures.producer import Producer

ORDER: dict[str, Any] = {"user": "ann", "group": "Demo", "target": Target.parse("Screen:12"), "files": ["/data/ü.tif", "/data/b"]}


def test_a_submitted_order_is_one_that_makes_sense(database: Database, intake: Intake, queue: Queue) -> None:
    uuid = submit_order(database, **ORDER, file_names=["one", "two"])
    assert intake.take_in() == 1
    claim = queue.claim(owner="host:1")
    assert claim is not None
    order = claim.text.read()
    assert (order.uuid, order.user, order.group, order.target) == (uuid, "ann", "Demo", ORDER["target"])
    assert [(entry.path, entry.name) for entry in order.entries] == [("/data/ü.tif", "one"), ("/data/b", "two")]


def test_a_claimed_order_is_run_by_nobody_else(database: Database, producer: Producer, intake: Intake, queue: Queue) -> None:
    claim = submit_claimed(database, queue, **ORDER, owner="host:1")
    assert (intake.take_in(), intake.reconcile(), queue.claim(owner="host:2"), queue.pending()) == (0, 0, None, 1)
    assert producer.trail(claim.lease.order) == ["Import Pending", "Import Started"]
    assert claim.text.read().target == ORDER["target"]
    queue.complete(queue.extend(claim.lease).lease)
    assert (intake.take_in(), intake.reconcile(), queue.pending()) == (0, 0, 0)


def test_a_claimed_order_whose_command_died_is_taken_over(database: Database, producer: Producer, queue: Queue) -> None:
    asked = Preprocessing(container=CONVERTER, alt_output_folder=None, extra_params={"ü": [1, None]})
    died = submit_claimed(database, queue, **ORDER, preprocessing=asked, owner="host:1")
    preprocessing = died.text.read().preprocessing
    assert preprocessing is not None
    assert (preprocessing.container, preprocessing.output_folder, preprocessing.alt_output_folder) == (CONVERTER, "/data", None)
    assert preprocessing.parameters == (("ü", "[1, null]"),)
    producer.sql("UPDATE adi_order SET lease_until = now() - interval '1 second'")
    free_lapsed(database)
    claim = queue.claim(owner="host:2")
    assert claim is not None
    assert (claim.lease.order, claim.lease.attempt, claim.text) == (died.lease.order, 2, died.text)


def test_a_claimed_order_may_be_an_older_one_unless_it_runs(
    database: Database, producer: Producer, intake: Intake, queue: Queue
) -> None:
    uuid = producer.pending()
    intake.take_in()
    claim = submit_claimed(database, queue, **ORDER, uuid=uuid, owner="host:1")
    assert claim.lease.attempt == 1
    before = producer.sql("SELECT count(*) FROM imports")
    with pytest.raises(UsageError, match="is running"):
        submit_claimed(database, queue, **ORDER, uuid=uuid, owner="host:2")
    assert producer.sql("SELECT count(*) FROM imports") == before
    queue.fail(claim.lease, reason="no")
    assert submit_claimed(database, queue, **ORDER, uuid=uuid, owner="host:2").lease.attempt == 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"uuid": ""}, "'' is not of the form"),
        ({"uuid": "x" * 37}, r"xxx' is not of the form \[0-9A-Za-z_-\]\{1,36\}"),
        ({"uuid": "../../etc"}, "is not of the form"),
        ({"uuid": "a\n"}, "is not of the form"),
        ({"uuid": UUID(int=1)}, "`uuid` holds UUID"),
        ({"user": ""}, "`user_name` is empty"),
        ({"user": None}, "`user` holds None"),
        ({"user": "a\0nn"}, "`user` has characters"),
        ({"group": " "}, "`group_name` is empty"),
        ({"group": "D\udcffmo"}, "`group` has characters"),
        ({"files": []}, "names no file"),
        ({"files": "/data/a.tif"}, r"single str, not a list. Write \['/data/a.tif'\]"),
        ({"files": Path("/data/a.tif")}, r"not a list. Write \['/data/a.tif'\]"),
        ({"files": ["data/a.tif"]}, "'data/a.tif' in `files` is not an absolute path"),
        ({"files": ["/data/a.tif", ""]}, "'' in `files` is not an absolute path"),
        ({"files": [Path("a.tif")]}, "'a.tif' in `files` is not an absolute path"),
        ({"files": ["/data/a\0.tif"]}, "in `files` has characters that are no text"),
        ({"files": ["/data/\udcff.tif"]}, r"'/data/\\udcff.tif' in `files` has characters"),
        ({"files": [b"/data/a.tif"]}, "b'/data/a.tif', which is no text"),
        ({"files": [7]}, "`files` holds 7"),
        ({"file_names": ["one"]}, "1 names for 2 files"),
        ({"file_names": ["one", "two", "three"]}, "3 names for 2 files"),
        ({"file_names": "ab"}, "`file_names` is a single str"),
        ({"file_names": ["one", "\0"]}, "in `file_names` has characters"),
    ],
)
def test_what_can_be_no_order_is_refused_before_anything_is_written(
    wrong: dict[str, Any], words: str, database: Database, queue: Queue, producer: Producer
) -> None:
    with pytest.raises(UsageError, match=f"^Nothing was ordered: .*{words}"):
        submit_order(database, **{**ORDER, **wrong})
    with pytest.raises(UsageError, match=f"^Nothing was ordered: .*{words}"):
        submit_claimed(database, queue, **{**ORDER, **wrong}, owner="host:1")
    assert producer.sql("SELECT count(*) FROM imports") == [(0,)]


CONVERTER = "cellularimagingcf/converter:latest"


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ({}, ("{Files}", "/data", "/out", None)),
        (
            {"extra_params": {"tile": 512, "on": True, "ä": None}},
            ("{Files}", "/data", "/out", {"tile": 512, "on": True, "ä": None}),
        ),
        ({"alt_output_folder": None}, ("{Files}", "/data", None, None)),
        (
            {"input_file": "in={Files}", "output_folder": "/in", "alt_output_folder": "/other", "extra_params": {}},
            ("in={Files}", "/in", "/other", {}),
        ),
    ],
)
@pytest.mark.parametrize("by", ["submit", "session"])
def test_of_preprocessing_the_image_is_enough(
    asked: dict[str, Any], written: tuple[Any, ...], by: str, database: Database, producer: Producer
) -> None:
    preprocessing = Preprocessing(container=CONVERTER, **asked)
    if by == "submit":
        submit_order(database, **ORDER, preprocessing=preprocessing)
    else:
        with Session(database._engine) as session:
            session.add(preprocessing)
            session.commit()
    columns = "container, input_file, output_folder, alt_output_folder, extra_params"
    assert producer.sql(f"SELECT {columns} FROM imports_preprocessing") == [(CONVERTER, *written)]


def test_one_preprocessing_serves_for_many_orders_also_one_that_was_read(database: Database, producer: Producer) -> None:
    preprocessing = Preprocessing(container=CONVERTER, alt_output_folder=None, extra_params={"a": 1})
    uuids = [submit_order(database, **ORDER, preprocessing=preprocessing) for _ in range(2)]
    with Session(database._engine) as session:
        first = session.query(IngestionTracking).filter_by(uuid=uuids[0]).one()
        assert first.preprocessing is not None
        session.refresh(first.preprocessing)
        session.expire(first.preprocessing)
        uuids.append(submit_order(database, **ORDER, preprocessing=first.preprocessing))
    rows = producer.sql(
        "SELECT i.uuid, p.container, p.alt_output_folder, p.extra_params FROM imports i "
        "JOIN imports_preprocessing p ON p.id = i.preprocessing_id ORDER BY i.id"
    )
    assert rows == [(uuid, CONVERTER, None, {"a": 1}) for uuid in uuids]
    assert producer.sql("SELECT count(*) FROM imports_preprocessing") == [(3,)]


@pytest.mark.parametrize(
    ("preprocessing", "words"),
    [
        ({"container": CONVERTER}, "is no Preprocessing"),
        (Preprocessing(), "`container` of the preprocessing is empty"),
        (Preprocessing(container=" "), "`container` of the preprocessing is empty"),
        (Preprocessing(container=None), "`container` holds None"),
        (Preprocessing(container=CONVERTER, input_file=None), "`input_file` holds None"),
        (Preprocessing(container=CONVERTER, output_folder=""), "`output_folder` of the preprocessing is empty"),
        (Preprocessing(container=CONVERTER, alt_output_folder=""), "`alt_output_folder` of the preprocessing is empty"),
        (Preprocessing(container=CONVERTER, extra_params=["a"]), "`extra_params` is no dict"),
        (Preprocessing(container=CONVERTER, extra_params={"a": object()}), "JSON has no word for"),
        (Preprocessing(container=CONVERTER, extra_params={"a": float("nan")}), "JSON has no word for"),
        (Preprocessing(container=CONVERTER, extra_params={"a": "\0"}), "`extra_params` has characters"),
        (Preprocessing(container=CONVERTER, extra_params={1: "a"}), "`extra_params` holds 1"),
        (Preprocessing(container="\udcff"), "`container` has characters"),
        (Preprocessing(container=CONVERTER, extra_params={"--inputfile": "/etc/passwd"}), "which is not for an order to say"),
        (Preprocessing(container=CONVERTER, output_folder="/proc/self"), "where a container has things of its own"),
        (Preprocessing(container=CONVERTER, alt_output_folder="/data/out"), "lie in one another"),
    ],
)
def test_preprocessing_that_cannot_be_done_is_refused_before_anything_is_written(
    preprocessing: Any, words: str, database: Database, producer: Producer
) -> None:
    with pytest.raises(UsageError, match=f"^Nothing was ordered: .*{words}"):
        submit_order(database, **ORDER, preprocessing=preprocessing)
    assert producer.sql("SELECT (SELECT count(*) FROM imports) + (SELECT count(*) FROM imports_preprocessing)") == [(0,)]


def test_preprocessing_and_order_are_written_together_or_not_at_all(database: Database, producer: Producer) -> None:
    producer.sql("ALTER TABLE imports ADD CHECK (group_name <> 'Demo')")  # whatever makes the second insert fail
    with pytest.raises(IntegrityError):
        submit_order(database, **ORDER, preprocessing=Preprocessing(container=CONVERTER))
    assert producer.sql("SELECT count(*) FROM imports_preprocessing") == [(0,)]
