# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/service.md names what there is: events of the log, settings with their defaults, numbers of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import omero_adi_plugin
from omero_adi_plugin.service import ending, restarts, worker
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking import losses

ROOT = Path(omero_adi_plugin.__file__).parent
PAGE = (Path(__file__).parents[3] / "docs" / "service.md").read_text()


def test_each_event_that_it_explains_is_one_of_ours() -> None:
    source = "".join(path.read_text() for path in ROOT.rglob("*.py"))
    names = set(re.findall(r"`([a-z]+\.[a-z_]+)`", PAGE.partition("## What the log says")[2]))
    assert len(names) > 15
    assert {name for name in names if f'"{name}"' not in source} == set()


@pytest.mark.parametrize("cells", re.findall(r"^\| `(\w+)` \| (\d+|none) \|", PAGE, re.MULTILINE))
def test_each_default_is_that_of_the_setting(cells: tuple[str, str]) -> None:
    name, said = cells
    default = Settings.model_fields[name].default
    assert said == ("none" if default is None else str(default))


def test_each_number_is_that_of_the_code() -> None:
    first, longest = restarts.FIRST_SECONDS, restarts.LONGEST_SECONDS
    for words in (
        f"the order waits {losses.PAUSE_SECONDS:.0f} s",
        f"A worker that has not ended {ending.KILL_SECONDS:.0f} s later",
        f"answers within {ending.FAREWELL_SECONDS:.0f} s",
        f"after {first:.0f} s, {2 * first:.0f} s, {4 * first:.0f} s … {longest:.0f} s",
        f"up to {worker.pause_seconds(10, in_vain=99) / 60:.0f} minutes",
        f"`shutdown_timeout` ({Settings.model_fields['shutdown_timeout'].default} s)",
        f"`lease_seconds`, {Settings.model_fields['lease_seconds'].default}",
        f"`no_progress_seconds` ({Settings.model_fields['no_progress_seconds'].default // 3600} h)",
        f"`keep_days` ({Settings.model_fields['keep_days'].default})",
        f"`surroundings_seconds` ({Settings.model_fields['surroundings_seconds'].default})",
    ):
        assert words in PAGE, words
    assert losses.DEATHS_ALLOWED == 3
    assert worker.pause_seconds(10, in_vain=0) == Settings.model_fields["surroundings_seconds"].default
