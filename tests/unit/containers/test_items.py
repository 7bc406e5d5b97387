# SPDX-License-Identifier: GPL-2.0-or-later
"""Items: what a converter says last comes through, and rubbish harms nobody."""

from __future__ import annotations

import json
import random
from contextlib import suppress

import pytest

from omero_adi_plugin.containers.items import (
    LONGEST_KEY,
    LONGEST_TITLE,
    LONGEST_VALUE,
    MOST_ITEMS,
    MOST_PAIRS,
    BadItems,
    Item,
    parse_items,
)


def only(line: str) -> Item:
    items = parse_items(line)
    assert items is not None
    (item,) = items
    return item


def item(**facts: object) -> Item:
    return only(json.dumps([{"alt_path": "/out/a.tif"} | facts]))


def test_the_line_of_the_contract_is_read() -> None:
    line = json.dumps(
        [
            {
                "name": "Image Name",
                "full_path": "/data/a.lsm",
                "alt_path": "/out/a.tif",
                "keyvalues": [{"method": "conversion"}, {"format": "lsm"}],
            },
            {"alt_path": "/out/b.tif"},
        ]
    )
    assert parse_items(line) == (
        Item(
            name="Image Name",
            full_path="/data/a.lsm",
            alt_path="/out/a.tif",
            keyvalues=(("method", "conversion"), ("format", "lsm")),
        ),
        Item(name=None, full_path=None, alt_path="/out/b.tif"),
    )


def test_one_object_is_a_list_of_one() -> None:
    assert only('  {"full_path": "/data/.processed/a.tif"} \r').full_path == "/data/.processed/a.tif"


@pytest.mark.parametrize(
    "line",
    [
        None,
        "",
        "done.",
        "3",
        "null",
        '"alt_path"',
        "true",
        "[1, 2]",
        "[[]]",
        "[null]",
        '["/out/a.tif"]',
        "{}",
        '{"status": "ok", "images": 3}',
        '[{"status": "ok"}]',
        '[{"alt_path": "/out/a.tif"}, 3]',
        "[INFO] converting",
        "{'alt_path': '/out/a.tif'}",
        "[" * 100_000,
        "{" * 100_000,
        "\0\0\0",
        "\ud800",
        '[{"a": NaN}]',
    ],
)
def test_any_other_line_says_nothing_of_outputs(line: str | None) -> None:
    assert parse_items(line) is None


def test_an_empty_list_says_that_nothing_was_made() -> None:
    assert parse_items(" [] ") == ()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('[{"alt_path": "/out/a.tif"}, {"name": "b"}]', "item 2 has neither"),
        ('{"alt_path": ""}', "item 1 has neither"),
        ('{"alt_path": null, "full_path": null}', "item 1 has neither"),
        ('{"alt_path": 3}', "`alt_path` of item 1 is '3', not a path"),
        ('{"alt_path": ["/out/a.tif"]}', "`alt_path` of item 1 is"),
        ('{"full_path": {"a": 1}, "alt_path": "/out/a.tif"}', "`full_path` of item 1 is"),
        ('{"alt_path": "/out/a.tif", "keyvalues": "k=v"}', "`keyvalues` of item 1 has 'k=v' in it"),
        ('{"alt_path": "/out/a.tif", "keyvalues": [["k", "v"]]}', "`keyvalues` of item 1 has"),
        ('[{"alt_path": "/out/a.tif"}', "not valid JSON"),
        ('{"alt_path": "/out/a.tif", "keyvalues": {"a": ' + "[" * 100_000, "nested too deeply|not valid JSON"),
        ('{"alt_path": "/out/a.tif", "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    ],
)
def test_a_list_that_is_wrong_is_refused_with_the_reason(line: str, why: str) -> None:
    with pytest.raises(BadItems, match=why):
        parse_items(line)


def test_a_list_without_end_is_refused() -> None:
    line = json.dumps([{"alt_path": "/out/a"}] * (MOST_ITEMS + 1))
    with pytest.raises(BadItems, match=f"{MOST_ITEMS + 1} outputs"):
        parse_items(line)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        (None, None),
        ("", None),
        ("  \n", None),
        (3, "3"),
        (0, "0"),
        (False, "false"),
        (1.5, "1.5"),
        (["a", 1], '["a", 1]'),
        ({"a": "ü"}, '{"a": "ü"}'),
        ("two  blanks", "two  blanks"),
        ("two\nlines\ttab", "two lines tab"),
        ("nul\0bell\x07\x9b", "nul\ufffdbell\ufffd\ufffd"),
        ("half \ud800 of a sign", "half \ufffd of a sign"),
        ("\ud834\udd1e", "𝄞"),
        ("x" * 300, "x" * (LONGEST_TITLE - 1) + "…"),
    ],
)
def test_a_name_of_any_kind_becomes_a_title(name: object, title: str | None) -> None:
    assert item(name=name).name == title


@pytest.mark.parametrize(
    ("keyvalues", "pairs"),
    [
        (None, ()),
        ([], ()),
        ({}, ()),
        ([None, {}], ()),
        ({"a": "b", "c": 1}, (("a", "b"), ("c", "1"))),
        ([{"a": 1}, {"a": 2}], (("a", "1"), ("a", "2"))),
        ({"a": ["x", 2, None, [3], {"b": 4}]}, (("a", "x"), ("a", "2"), ("a", "null"), ("a", "[3]"), ("a", '{"b": 4}'))),
        ({"a": []}, ()),
        ({"a": True, "b": None}, (("a", "true"), ("b", "null"))),
        ({"": 1, "  ": 2, " c ": 3}, (("c", "3"),)),
        ({"nul\0": "\0"}, (("nul\ufffd", "\ufffd"),)),
        ({"lines": "a\nb\tc"}, (("lines", "a\nb\tc"),)),
        ({"half": "\udc00"}, (("half", "\ufffd"),)),
        ({"k" * 300: "v" * (LONGEST_VALUE + 1)}, (("k" * (LONGEST_KEY - 1) + "…", "v" * (LONGEST_VALUE - 1) + "…"),)),
    ],
)
def test_keyvalues_of_any_shape_become_pairs_of_text(keyvalues: object, pairs: tuple[tuple[str, str], ...]) -> None:
    assert item(keyvalues=keyvalues).keyvalues == pairs


def test_numbers_that_no_computer_has_are_kept_as_they_can_be() -> None:
    line = f'{{"alt_path": "/out/a", "keyvalues": {{"a": NaN, "b": -Infinity, "c": 1e999, "d": {"9" * 10_000}}}}}'
    assert only(line).keyvalues == (("a", "NaN"), ("b", "-Infinity"), ("c", "Infinity"), ("d", "9" * 10_000))


def test_of_keys_that_come_twice_in_one_object_the_last_counts_as_in_all_json() -> None:
    assert only('{"alt_path": "/out/a", "keyvalues": {"a": 1, "a": 2}, "name": "x", "name": "y"}') == Item(
        name="y", full_path=None, alt_path="/out/a", keyvalues=(("a", "2"),)
    )


def test_key_values_have_an_end() -> None:
    assert len(item(keyvalues={"a": list(range(MOST_PAIRS + 5))}).keyvalues) == MOST_PAIRS


@pytest.mark.parametrize("field", ["name", "keyvalues", "alt_path"])
def test_no_depth_crashes_it(field: str) -> None:
    for depth in range(700, 1100):
        nested = "[" * depth + "]" * depth
        value = f'{{"a": {{"b": {nested}}}}}' if field == "keyvalues" else nested
        with suppress(BadItems):
            parse_items(f'{{"full_path": "/out/a", "{field}": {value}}}')


def test_no_line_crashes_it() -> None:
    chance = random.Random(11)  # noqa: S311 (the same each time)
    line = json.dumps([{"name": "x", "alt_path": "/out/a", "full_path": None, "keyvalues": [{"a": [1, {"b": None}]}]}])
    for _ in range(3000):
        broken = list(line)
        for _ in range(chance.randint(1, 6)):
            where = chance.randrange(len(broken))
            broken[where] = chance.choice(['"', "{", "}", "[", "]", ",", ":", "\\", "\0", "\ud800", "9", "n", ""])
        try:
            items = parse_items("".join(broken))
        except BadItems:
            continue
        for each in items or ():
            assert each.alt_path or each.full_path
            assert all(isinstance(text, str) for pair in each.keyvalues for text in pair)
