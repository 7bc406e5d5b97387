# SPDX-License-Identifier: GPL-2.0-or-later
"""The arguments of a converter: exactly those that converters rely on, whatever an order holds."""

from __future__ import annotations

import pytest

from omero_adi_plugin.containers.arguments import arguments
from omero_adi_plugin.preprocessing import Preprocessing, PreprocessingText


def test_a_converter_gets_the_arguments_of_the_contract() -> None:
    preprocessing = Preprocessing(id=1, container="c", parameters=(("saveoutput", "True"), ("name", "{Files}")))
    assert arguments(preprocessing, basename="a b.lif") == (
        *("--inputfile", "/data/a b.lif"),
        *("--saveoutput", "True"),
        *("--name", "/data/a b.lif"),
        *("--outputfolder", "/data/.processed"),
        *("--altoutputfolder", "/out"),
    )


def test_without_another_folder_nothing_is_said_of_it() -> None:
    text = PreprocessingText(
        id=1, container="c", input_file="{Files}", output_folder="/in/put/", alt_output_folder="", extra_params=None
    )
    assert arguments(text.read(), basename="a.lif") == (
        *("--inputfile", "/in/put/a.lif"),
        *("--outputfolder", "/in/put/.processed"),
    )


@pytest.mark.parametrize(
    "basename", ["--privileged", "a:b,c", "$(reboot).lif", "a\nb", "'; rm -rf /", "{Files}", "x{Files}y", "a=b", "-v /:/host"]
)
def test_a_hostile_name_stays_one_argument(basename: str) -> None:
    words = arguments(Preprocessing(id=1, container="c", parameters=(("x", "{Files},{Files}"),)), basename=basename)
    assert words[:4] == ("--inputfile", f"/data/{basename}", "--x", f"/data/{basename},/data/{basename}")
    assert len(words) == 8


@pytest.mark.parametrize("value", ["--volume=/:/host", "-v", "", " ", "a b --inputfile /etc/passwd", "\n", "$HOME", "ü𝄞"])
def test_a_hostile_value_stays_one_argument(value: str) -> None:
    words = arguments(Preprocessing(id=1, container="c", parameters=(("x", value),)), basename="a.lif")
    assert words[2:4] == ("--x", value)
    assert len(words) == 8


@pytest.mark.parametrize(
    ("written", "expected"),
    [("true", "true"), ("null", "null"), ("3", "3"), ("1.5", "1.5"), ('["{Files}", 1]', '["/data/a.lif", 1]'), ('""', "")],
)
def test_values_of_any_kind_become_text(written: str, expected: str) -> None:
    text = PreprocessingText(
        id=1,
        container="c",
        input_file="{Files}",
        output_folder="/data",
        alt_output_folder="/out",
        extra_params=f'{{"x": {written}}}',
    )
    assert arguments(text.read(), basename="a.lif")[2:4] == ("--x", expected)


def test_what_is_to_be_read_can_be_something_else() -> None:
    preprocessing = Preprocessing(id=1, container="c", input_file="{Files}?series=3")
    assert arguments(preprocessing, basename="a.lif")[:2] == ("--inputfile", "/data/a.lif?series=3")
