# SPDX-License-Identifier: GPL-2.0-or-later
"""What `omero adi check` says of converters: each thing that can be wrong is made wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.inside import Inside
from tests.fixtures.laboratory import Lab
from tests.fixtures.podman import Podman
from tests.fixtures.services import Services, Tracking

Look = Callable[[], dict[str, tuple[str, str]]]

SILENT = {"converters": ("ok", "No converter may run (`containers: allow:`), and no order of the last days asks for one.")}


@pytest.fixture
def look(inside: Inside, services: Services, lab: Lab, tmp_path: Path) -> Look:
    """What it says of converters: by name, how much it matters, and the words."""
    (tmp_path / "temp").mkdir()
    services.configure(converter_temp=str(tmp_path / "temp"), log_file_path="")

    def run() -> dict[str, tuple[str, str]]:
        told = json.loads(inside("check", "--json").stdout)["findings"]
        names = [each["name"] for each in told]
        ours = told[names.index("omero") + 1 : names.index("settings")]
        assert all(bool(each["remedy"]) == (each["level"] != "ok") for each in ours)
        return {each["name"]: (each["level"], each["finding"]) for each in ours}

    return run


def order(tracking: Tracking, lab: Lab, container: str, *, days_ago: int = 0) -> str:
    [[number]] = tracking.sql(
        "INSERT INTO imports_preprocessing (container, input_file, output_folder) VALUES (%s, '{Files}', '/data') RETURNING id",
        container,
    )
    uuid = tracking.order(lab, "/data/a", preprocessing_id=number)
    tracking.sql("UPDATE imports SET timestamp = now() - make_interval(days => %s) WHERE uuid = %s", days_ago, uuid)
    return uuid


def test_where_no_converter_may_run_podman_is_not_looked_for(
    look: Look, services: Services, tracking: Tracking, lab: Lab
) -> None:
    services.configure(podman_socket="/no/such", converter_temp="/no/such")
    assert look() == SILENT
    order(tracking, lab, "lab/old:1", days_ago=11)
    assert look() == SILENT
    for _ in range(2):
        newest = order(tracking, lab, "lab/convert:1")
    order(tracking, lab, "no image!")
    level, words = look()["converters"]
    assert level == "warning"
    assert f"3 orders of the last days ask for 'lab/convert:1' (as order {newest}), 'no image!' (as order " in words


def test_where_one_may_run_all_that_it_needs_is_looked_at(
    look: Look, services: Services, tracking: Tracking, lab: Lab, podman: Podman, tmp_path: Path
) -> None:
    image = podman.converter("exit 0")
    services.configure(containers={"allow": [image, "docker.io/lab/*"]})
    order(tracking, lab, image)
    order(tracking, lab, "lab/convert")
    found = look()
    assert {name: level for name, (level, _) in found.items() if level != "ok"} == {}
    assert list(found) == ["converters", "converter folder", "podman", "converter images"]
    assert (
        found["podman"][1]
        == f"Podman {podman('version', '--format', '{{.Version}}')} runs here as root, and listens at '{podman.socket}'."
    )
    named = tmp_path / "a b+c%20"
    named.symlink_to(podman.socket)
    odd = order(tracking, lab, "other/convert")
    services.configure(containers={"allow": [image, "docker.io/lab/*", "localhost/gone:2"]}, podman_socket=str(named))
    found = look()
    assert found["podman"][1].endswith(f", and listens at '{named}'.")
    assert found["converters"][0] == found["converter images"][0] == "warning"
    assert f"'other/convert' (as order {odd})." in found["converters"][1]
    assert "'localhost/gone:2'" in found["converter images"][1]
    services.configure(containers={"allow": ["docker.io/lab/a", "docker.io/lab/b:1"]}, converter_pull="never")
    assert "are not fetched: 'docker.io/lab/b:1'." in look()["converter images"][1]


@pytest.mark.parametrize(
    ("wrong", "name", "words"),
    [
        ({"podman_socket": "/no/such"}, "podman", "no podman listens at '/no/such', which `podman_socket` names."),
        ({"converter_temp": "/no/such"}, "converter folder", "'/no/such', where converters are to write to"),
        ({"converter_temp": "/proc"}, "converter folder", "cannot be written to by the account that runs this check"),
        (
            {"server_account": "nobody"},
            "converter folder",
            "cannot be looked into by 'nobody', the account that runs OMERO.server",
        ),
    ],
)
def test_what_keeps_converters_from_running_is_an_error(
    look: Look, services: Services, podman: Podman, tmp_path: Path, wrong: dict[str, str], name: str, words: str
) -> None:
    (tmp_path / "temp").chmod(0o700)
    services.configure(containers={"allow": ["lab/*"]}, **wrong)
    level, found = look()[name]
    assert level == "error"
    assert words in found
