# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/scaling.md names what there is: sentences of ours, settings with their defaults, numbers of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import omero_adi_plugin
from omero_adi_plugin.grid.shipped import RUN_ORDERS
from omero_adi_plugin.service import deadline, scripted
from omero_adi_plugin.settings import Settings

ROOT = Path(omero_adi_plugin.__file__).parent
PAGE = (Path(__file__).parents[3] / "docs" / "scaling.md").read_text()
WRONG = PAGE.partition("## When something is wrong")[2].partition("\n## ")[0]
OF_PYTHON = "No module named …"


def test_each_sentence_of_what_is_wrong_is_one_of_ours() -> None:
    sources = [*ROOT.rglob("*.py"), *(ROOT / "scripts" / "omero" / "import_scripts").glob("*.py")]
    source = "".join(re.sub(r'"\s*\n\s*f?"', "", path.read_text()) for path in sources)
    sentences = re.findall(r"^\| `(.+?)` \|", WRONG, re.MULTILINE)
    assert len(sentences) > 5
    patterns = [".*".join(map(re.escape, sentence.replace(OF_PYTHON, "").split("…"))) for sentence in sentences]
    assert [pattern for pattern in patterns if not re.search(pattern, source)] == []


@pytest.mark.parametrize("cells", re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGE, re.MULTILINE))
def test_each_default_is_that_of_the_setting(cells: tuple[str, str]) -> None:
    name, said = cells
    assert said == str(Settings.model_fields[name].default)


def test_each_number_and_name_is_that_of_the_code() -> None:
    for words in (
        f"\n{deadline.NO_ORDER * 100:.0f} % of it a script takes no further order",
        f"after {deadline.NO_FILESET * 100:.0f} % it begins no further fileset",
        f"At {deadline.AT_LAST * 100:.0f} % it also leaves",
        f"for {scripted.TURN_SECONDS:.0f} s while other users wait",
        f"`lease_seconds`, {Settings.model_fields['lease_seconds'].default}",
        f"`max_filesets_in_flight` ({Settings.model_fields['max_filesets_in_flight'].default})",
        f"`{RUN_ORDERS.rpartition('/')[2]}`",
    ):
        assert words in PAGE, words
