# SPDX-License-Identifier: GPL-2.0-or-later
"""What is an order, and what is refused before anything is done with it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from omero_adi_plugin.errors import OrderMalformed, UsageError
from omero_adi_plugin.orders import Entry, Marker, OrderText, Target, TargetKind

GOOD = OrderText(
    uuid="4f1c09aa-0000-4000-8000-000000000001",
    user="researcher",
    group="Demo",
    destination_type="Dataset",
    destination_id="151",
    files='["/data/a.tif", "/data/b.tif"]',
)


def test_a_good_row_becomes_an_order() -> None:
    order = GOOD.read()
    assert order.target == Target(kind=TargetKind.DATASET, id=151)
    assert [entry.path for entry in order.entries] == ["/data/a.tif", "/data/b.tif"]
    assert (order.user, order.group, order.preprocessing) == ("researcher", "Demo", None)


def test_names_go_with_their_files_when_there_is_one_for_each() -> None:
    assert replace(GOOD, file_names='["A", "B"]').read().entries == (
        Entry(path="/data/a.tif", name="A"),
        Entry(path="/data/b.tif", name="B"),
    )
    for names in (None, "", " ", "null", "[]", '["only one"]'):
        assert [entry.name for entry in replace(GOOD, file_names=names).read().entries] == [None, None]


def test_a_file_named_twice_is_one_entry_with_its_first_name() -> None:
    order = replace(GOOD, files='["/data/a.tif", "/data/b.tif", "/data/a.tif"]', file_names='["A", "B", "A again"]').read()
    assert order.entries == (Entry(path="/data/a.tif", name="A"), Entry(path="/data/b.tif", name="B"))


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("files", "/data/a.tif", "not valid JSON"),
        ("files", '["/data/a.tif"', "not valid JSON"),
        ("files", "[" * 100_000, "not valid JSON"),
        ("files", '{"a": 1}', "not a JSON list"),
        ("files", "12", "not a JSON list"),
        ("files", "[]", "names no file"),
        ("files", "null", "not a JSON list"),
        ("files", "[12]", "lists a number"),
        ("files", "[NaN]", "lists a number"),
        ("files", "[true]", "lists true or false"),
        ("files", '["/a", null]', "lists null"),
        ("files", '[{"path": "/a"}]', "lists an object"),
        ("files", "[" * 900 + "]" * 900, "lists a list"),
        ("files", f"[{'9' * 5000}]", "not valid JSON"),
        ("files", json.dumps(["\U000e0001" * 200]), "not an absolute path"),
        ("files", '["data/a.tif"]', "not an absolute path"),
        ("files", json.dumps(["/data/a\0.tif"]), "not an absolute path"),
        ("file_names", "{", "not valid JSON"),
        ("destination_type", "", "not Dataset or Screen"),
        ("destination_type", "Project", "not Dataset or Screen"),
        ("destination_id", "-1", "not a positive number"),
        ("destination_id", "0", "not a positive number"),
        ("destination_id", "١٢", "not a positive number"),
        ("destination_id", " 12", "not a positive number"),
        ("destination_id", "+5", "not a positive number"),
        ("destination_id", "1e3", "not a positive number"),
        ("destination_id", "9223372036854775808", "not a positive number"),
        ("destination_id", "9" * 5000, "not a positive number"),
        ("uuid", "../../etc", "not of the form"),
        ("uuid", "4f1c09aa\n", "not of the form"),
        ("user_name", " ", "empty"),
        ("group_name", "", "empty"),
        ("user_name", "x" * 256, "256 characters"),
        ("group_name", "Demo\x1b[31m", "control characters"),
        ("group_name", "x" * 254 + "\n", "control characters"),
    ],
)
def test_nonsense_is_refused_with_the_column_and_what_to_do(column: str, value: str, says: str) -> None:
    field = {"user_name": "user", "group_name": "group"}.get(column, column)
    changed: dict[str, Any] = {field: value}
    with pytest.raises(OrderMalformed, match=says) as refused:
        replace(GOOD, **changed).read()
    assert refused.value.column == column
    assert "order again" in str(refused.value)
    assert len(str(refused.value)) < 400
    assert str(refused.value).isprintable()


def test_targets_are_written_as_kind_and_id() -> None:
    assert str(Target.parse("Screen:12")) == "Screen:12"
    for text in ("Dataset", "Dataset:", "Dataset:x", "Plate:1", "dataset:1", ":1"):
        with pytest.raises(UsageError, match="Dataset:ID"):
            Target.parse(text)


def test_a_marker_reads_back_whatever_its_path_looks_like() -> None:
    marker = Marker(uuid=GOOD.uuid, attempt=3, key="/data/with  two spaces, ünï\tcode.tif")
    assert Marker.parse(str(marker)) == marker
    for text in ("", "abc", "abc 1", "abc 1 ", "abc one /x", "a/b 1 /x"):
        assert Marker.parse(text) is None
