# SPDX-License-Identifier: GPL-2.0-or-later
"""What a row of `imports_preprocessing` means, and which rows mean nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omero_adi_plugin.errors import OrderMalformed
from omero_adi_plugin.preprocessing import Preprocessing, PreprocessingText

GOOD = PreprocessingText(
    id=7, container="lab/convert:1", input_file="{Files}", output_folder="/data", alt_output_folder="/out", extra_params=None
)


def test_a_good_row_is_read_as_it_is() -> None:
    text = replace(
        GOOD, output_folder="/data/", extra_params='{"save": "one", "size": 3, "all": true, "list": [1, "ä"], "no": null}'
    )
    assert text.read() == Preprocessing(
        id=7,
        container="lab/convert:1",
        parameters=(("save", "one"), ("size", "3"), ("all", "true"), ("list", '[1, "ä"]'), ("no", "null")),
    )


@pytest.mark.parametrize("extra_params", [None, "null", "{}"])
def test_without_parameters_there_are_none(extra_params: str | None) -> None:
    assert replace(GOOD, extra_params=extra_params).read().parameters == ()


@pytest.mark.parametrize("alt", [None, ""])
def test_without_a_second_folder_there_is_none(alt: str | None) -> None:
    assert replace(GOOD, alt_output_folder=alt).read().alt_output_folder is None


@pytest.mark.parametrize(
    ("change", "column", "says"),
    [
        ({"container": " "}, "container", "`container` of the preprocessing is empty"),
        ({"container": "a\nb"}, "container", "control characters"),
        ({"input_file": ""}, "input_file", "is empty"),
        ({"output_folder": "data"}, "output_folder", "not an absolute path"),
        ({"output_folder": "/"}, "output_folder", "not an absolute path"),
        ({"output_folder": "//x"}, "output_folder", "not an absolute path"),
        ({"output_folder": "/data/../etc"}, "output_folder", "not an absolute path"),
        ({"output_folder": "/proc/1"}, "output_folder", "things of its own"),
        ({"alt_output_folder": "/dev"}, "alt_output_folder", "things of its own"),
        ({"alt_output_folder": "/data"}, "alt_output_folder", "lie in one another"),
        ({"alt_output_folder": "/data/out"}, "alt_output_folder", "lie in one another"),
        ({"output_folder": "/out/data"}, "alt_output_folder", "lie in one another"),
        ({"extra_params": "{"}, "extra_params", "is not valid JSON"),
        ({"extra_params": "[" * 100_000}, "extra_params", "is not valid JSON"),
        ({"extra_params": '["a"]'}, "extra_params", "not names with their values"),
        ({"extra_params": '{"": 1}'}, "extra_params", "which no option can have"),
        ({"extra_params": '{"a\\n": 1}'}, "extra_params", "which no option can have"),
        ({"extra_params": '{"a": "\\u0000"}'}, "extra_params", "NUL"),
        ({"extra_params": '{"outputfolder": "/x"}'}, "extra_params", "not for an order to say"),
        ({"extra_params": '{"--inputfile": "/x"}'}, "extra_params", "not for an order to say"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_by_its_column(change: dict[str, str], column: str, says: str) -> None:
    with pytest.raises(OrderMalformed, match=says) as refused:
        replace(GOOD, **change).read()  # type: ignore[arg-type]  # all of them are text
    assert refused.value.column == column
    assert len(str(refused.value)) < 500
