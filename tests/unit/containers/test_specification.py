# SPDX-License-Identifier: GPL-2.0-or-later
"""What podman is asked for depends on settings, and on which podman it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from omero_adi_plugin.containers.engine import Facts
from omero_adi_plugin.containers.images import Image
from omero_adi_plugin.containers.rooms import Room
from omero_adi_plugin.containers.specification import limits_ignored, specification, userns_is_ignored
from omero_adi_plugin.containers.task import Task
from omero_adi_plugin.preprocessing import Preprocessing
from omero_adi_plugin.settings import Settings

ROOT = Facts(version="4.3.1", rootless=False, controllers=frozenset({"memory", "cpu", "pids"}))
ROOTLESS = Facts(version="4.3.1", rootless=True, controllers=frozenset())
IMAGE = Image(name="docker.io/lab/x:1", id="0" * 64, digest="sha256:" + "1" * 64)


def asked(facts: Facts = ROOT, *, temp: Path | None = Path("/t/out"), **settings: object) -> dict[str, object]:
    source = Path("/data/a:b,c")
    room = Room(source=source, basename="x.lif", processed=source / ".processed", staging=source / "s/out", temp=temp)
    wanted = Preprocessing(id=1, container="lab/x:1", alt_output_folder="/out" if temp else None)
    task = Task(order="o", attempt=2, number=3, owner="here:1", path="/data/a:b,c/x.lif", room=room, preprocessing=wanted)
    given = Settings(ingest_tracking_db=SecretStr("postgresql://u@h/d"), **settings)  # type: ignore[arg-type]
    return specification(task, image=IMAGE, log=Path("/t/log"), settings=given, facts=facts)


def test_what_was_looked_at_is_what_runs_under_a_name_of_its_own() -> None:
    made = asked()
    assert (made["image"], made["name"], made["remove"]) == (IMAGE.id, "adi-o-2-3", False)
    assert made["labels"] == {
        "omero-adi.order": "o",
        "omero-adi.attempt": "2",
        "omero-adi.number": "3",
        "omero-adi.owner": "here:1",
    }


@pytest.mark.parametrize(("network", "netns"), [("none", {"nsmode": "none"}), ("on", {})])
def test_a_network_is_for_the_site_to_give(network: str, netns: dict[str, str]) -> None:
    assert asked(converter_network=network)["netns"] == netns


def test_limits_are_those_of_the_settings_where_podman_can_set_them() -> None:
    limits = asked(converter_memory_mb=100, converter_cpus=1.5, converter_pids=9)["resource_limits"]
    assert limits == {
        "memory": {"limit": 100 << 20, "swap": 100 << 20},
        "cpu": {"quota": 150_000, "period": 100_000},
        "pids": {"limit": 9},
    }
    assert asked(ROOTLESS)["resource_limits"] == {}
    assert (limits_ignored(ROOT), limits_ignored(ROOTLESS)) == ([], ["memory", "cpu", "pids"])


@pytest.mark.parametrize(
    ("mode", "rootless"),
    [(None, None), ("keep-id", {"nsmode": "keep-id"}), ("keep-id:uid=7", {"nsmode": "keep-id", "value": "uid=7"})],
)
def test_keep_id_is_for_rootless_podman_alone(mode: str | None, rootless: dict[str, str] | None) -> None:
    assert asked(ROOTLESS, podman_userns_mode=mode).get("userns") == rootless
    assert "userns" not in asked(ROOT, podman_userns_mode=mode)
    ignored = userns_is_ignored(Settings(ingest_tracking_db=SecretStr("postgresql://u@h/d"), podman_userns_mode=mode), ROOT)
    assert ignored == (mode is not None)


def test_only_the_folders_of_the_room_are_mounted() -> None:
    mounts = asked()["mounts"]
    assert isinstance(mounts, list)
    assert [(each["source"], each["destination"], each["options"][1]) for each in mounts] == [
        ("/data/a:b,c", "/data", "ro"),
        ("/data/a:b,c/s/out", "/data/.processed", "rw"),
        ("/t/out", "/out", "rw"),
    ]
    without = asked(temp=None, source_mount="rw")["mounts"]
    assert isinstance(without, list)
    assert [each["options"][1] for each in without] == ["rw", "rw"]
