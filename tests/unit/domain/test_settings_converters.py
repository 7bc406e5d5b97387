# SPDX-License-Identifier: GPL-2.0-or-later
"""The settings for converters: which images may run, and what makes no sense."""

from __future__ import annotations

from typing import Any

import pytest

from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.settings import Settings

URL = "postgresql://u@h/d"


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ({"allow": ["lab/*", " x "]}, ("lab/*", "x")),
        ({"allow": "lab/*"}, ("lab/*",)),
        ({"allow": None}, ()),
        ({}, ()),
        ('{"allow": ["lab/*"]}', ("lab/*",)),
    ],
)
def test_images_that_may_run_are_read_in_every_way_to_write_them(value: Any, allowed: tuple[str, ...]) -> None:
    assert Settings.load(ingest_tracking_db=URL, containers=value).allowed_containers == allowed


def test_without_the_setting_none_may() -> None:
    assert Settings.load(ingest_tracking_db=URL).allowed_containers == ()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"containers": {"alow": ["x"]}}, "a mapping with the one key `allow`"),
        ({"containers": {"allow": [1]}}, "a mapping with the one key `allow`"),
        ({"containers": {"allow": [" "]}}, "a mapping with the one key `allow`"),
        ({"containers": "x"}, "here as JSON"),
        ({"converter_capabilities": [1]}, "a list of words"),
        ({"converter_temp": "inplace"}, "an absolute path"),
        ({"processed_folder": "a/b"}, "the name of one folder"),
        ({"processed_folder": ".."}, "the name of one folder"),
        ({"converter_cpus": 0}, "from 0.1 to 1024"),
    ],
)
def test_what_makes_no_sense_is_said(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Settings.load(ingest_tracking_db=URL, **settings)


def test_capabilities_are_words_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADI_CONVERTER_CAPABILITIES", "DAC_OVERRIDE, CHOWN")
    assert Settings.load(ingest_tracking_db=URL).converter_capabilities == ("DAC_OVERRIDE", "CHOWN")
