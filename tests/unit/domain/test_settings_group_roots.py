# SPDX-License-Identifier: GPL-2.0-or-later
"""`group_roots`, the one setting that is a mapping: in the file, in the environment, shown, and wrong."""

import pickle
import re
from argparse import ArgumentParser
from pathlib import Path

import pytest

from omero_adi_plugin.commands.exits import Ending, end
from omero_adi_plugin.commands.parser import configure
from omero_adi_plugin.errors import ConfigurationError
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.settings.catalogue import catalogue

URL = "postgresql://u@h/d"
ROOTS = {"Imaging Lab": (Path("/data/lab"), Path("/data/shared")), "*": (Path("/data/shared"),)}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for entry in catalogue(Settings).values():
        for variable in entry.variables:
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("ADI_CONFIG", raising=False)
    monkeypatch.delenv("OMERODIR", raising=False)
    monkeypatch.chdir(tmp_path)


def load(text: str) -> Settings:
    Path("s.yml").write_text(f"ingest_tracking_db: {URL}\n{text}\n", encoding="utf-8")
    return Settings.load(Path("s.yml"))


@pytest.mark.parametrize(
    "text",
    [
        'group_roots:\n  Imaging Lab: [/data/lab, /data/shared]\n  "*": [/data/shared]',
        'group_roots:\n  Imaging Lab:\n    - /data/lab\n    - /data/shared\n  "*": /data/shared',
        'group_roots: \'{"Imaging Lab": ["/data/lab", "/data/shared"], "*": "/data/shared"}\'',
    ],
)
def test_it_is_a_mapping_in_the_file(text: str) -> None:
    settings = load(text)
    assert settings.group_roots == ROOTS
    assert pickle.loads(pickle.dumps(settings)).group_roots == ROOTS  # noqa: S301 (our own bytes)


def test_it_is_json_in_the_environment_and_none_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load("").group_roots == {}
    monkeypatch.setenv("ADI_GROUP_ROOTS", '{"lab": ["/data/lab"]}')
    assert load("group_roots:\n  other: [/data/other]").group_roots == {"lab": (Path("/data/lab"),)}


def test_a_group_of_digits_is_a_name() -> None:
    assert load("group_roots:\n  007: [/data/bond]").group_roots == {"007": (Path("/data/bond"),)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("group_roots: [/data]", "must be a mapping of groups to lists of folders"),
        ("group_roots: /data", "here as JSON"),
        ("group_roots:\n  lab:", "one of those of the group 'lab' is not"),
        ("group_roots:\n  lab: []", "'lab' has no list of folders"),
        ("group_roots:\n  lab: [data/lab]", "absolute paths, and one of those of the group 'lab' is not"),
        ("group_roots:\n  lab: [/srv/lab]", "'/srv/lab' of the group 'lab' is not in it"),
        ("group_roots:\n  lab: [/data/../srv]", "'/data/../srv' of the group 'lab' is not in it"),
        ("group_roots:\n  lab: [/data-of-others]", "is not in it"),
        ("group_roots:\n  lab: {a: b}", "'lab' has no list of folders"),
        ("group_roots:\n  lab: [/data]\n  lab: [/data/x]", "must be one single value"),
        ("group_roots: &a\n  lab: [*a]", "must be one single value"),
        ("group_roots:\n  lab: !!python/name:os.system ''", "must be one single value"),
        ("max_workers:\n  lab: [/data]", "`max_workers` must be one single value"),
    ],
)
def test_what_is_wrong_with_it_is_said(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    assert says in str(caught.value)
    assert "s.yml:2" in str(caught.value)


def test_folders_lie_in_the_base_dir_that_is_set() -> None:
    assert load("base_dir: /srv\ngroup_roots:\n  lab: [/srv]").group_roots == {"lab": (Path("/srv"),)}


def test_config_show_shows_it_as_it_can_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    load("group_roots:\n  lab: [/data/lab]")
    for more, shown in (([], '\t{"lab": ["/data/lab"]}\t'), (["--json"], '"value": {"lab": ["/data/lab"]}')):
        parser = ArgumentParser()
        configure(parser, lambda _: None)
        assert end(parser.parse_args(["config", "show", "--config", "s.yml", *more])) == Ending(status=0)
        assert shown in re.sub(r"\s*\n\s+", " ", capsys.readouterr().out).replace("{ ", "{").replace(" }", "}").replace(
            "[ ", "["
        ).replace(" ]", "]")
