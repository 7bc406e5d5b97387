# SPDX-License-Identifier: GPL-2.0-or-later
"""Converters that go wrong, and orders that mean harm: each order fails with one sentence, and nothing of it is left."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.converting import COPY, READ_ARGUMENTS, TWO, Workshop
from tests.fixtures.services import ONCE
from tests.fixtures.waiting import wait_until

pytestmark = pytest.mark.usefixtures("without_java")


@dataclass(frozen=True, slots=True)
class Case:
    """A converter, and what the order's description has to say; '' if it is to be completed."""

    script: str
    says: str
    heard: str = ""


WAYS = {
    "hangs": Case(READ_ARGUMENTS + "echo begun; sleep 1000", "took longer than 3 seconds", "begun"),
    "ignores SIGTERM": Case(
        READ_ARGUMENTS + "trap '' TERM; cp \"$in\" $alt/a.ome.tif; while :; do sleep 1; done", "took longer than 3 seconds"
    ),
    "eats memory": Case(READ_ARGUMENTS + "tail /dev/zero", "memory"),
    "fails": Case(READ_ARGUMENTS + "echo 'no such compression' >&2; exit 3", "no such compression", "no such compression"),
    "makes nothing": Case(READ_ARGUMENTS + "echo done", "made nothing of"),
    "says that it made nothing": Case(COPY + "echo '[]'", "made nothing of"),
    "writes beside the source": Case(READ_ARGUMENTS + "cp $in /data/copy.tif", "source_mount: rw"),
    "makes what is no image": Case(READ_ARGUMENTS + 'echo text > "$alt/a.ome.tif"', "cannot be imported"),
    "says what is not there": Case(COPY + 'echo \'{"alt_path": "/out/other.ome.tif"}\'', "/out/other.ome.tif"),
    "names a file outside": Case(COPY + 'echo \'{"alt_path": "/out/../../etc/passwd"}\'', "/etc/passwd"),
    "names a file of the host": Case(COPY + 'echo \'{"full_path": "/etc/hostname"}\'', "/etc/hostname"),
    "makes a link": Case(READ_ARGUMENTS + 'ln -s /data/scan.ome.tif "$alt/a.ome.tif"', "a.ome.tif"),
    "makes a link to somewhere": Case(
        READ_ARGUMENTS + 'ln -s /etc/passwd "$alt/a.ome.tif"; echo \'{"alt_path": "/out/a.ome.tif"}\'', "a.ome.tif"
    ),
    "names a file twice": Case(
        COPY + 'echo \'[{"alt_path": "/out/made.ome.tif"}, {"alt_path": "/out/./made.ome.tif"}]\'', "made.ome.tif"
    ),
    "makes two that differ": Case(
        COPY
        + "echo more > $out/made.ome.tif\n"
        + 'echo \'{"alt_path": "/out/made.ome.tif", "full_path": "/data/.processed/made.ome.tif"}\'',
        "made.ome.tif",
    ),
    "writes rubbish": Case(COPY + "seq 1 20000; head -c 3000 /dev/urandom; echo; echo done", ""),
    "breaks off its list": Case(COPY + "seq 1 20000; echo '[{\"alt_path\": '", "not valid JSON"),
    "leaves a name that is no text": Case(COPY + "echo hi > $out/$(printf '\\377x').txt", ""),
    "digs too deep": Case(
        COPY + 'cd "$alt"; n=0; while [ $n -lt 90 ]; do d=$(printf "%050d" $n); mkdir $d && cd $d; n=$((n+1)); done; touch a',
        "deep",
    ),
    "has a full disk of its own": Case(READ_ARGUMENTS + "echo 'No space left on device' >&2; exit 1", "No space left on device"),
    "forks away": Case(COPY + '(sleep 1000; echo late > $alt/late.ome.tif) & echo \'[{"alt_path": "/out/made.ome.tif"}]\'', ""),
}


def test_each_way_to_go_wrong_is_told_in_one_sentence_and_nothing_is_left(workshop: Workshop, data_folder: Path) -> None:
    workshop.services.configure(converter_timeout_seconds=3, failures_allowed=1, max_containers=4, max_workers=2)
    orders = {}
    for way, case in WAYS.items():
        folder = data_folder / way
        folder.mkdir()
        source = shutil.copy(workshop.samples.image("scan.ome.tif"), folder / "scan.ome.tif")
        orders[way] = workshop.order(source, container=workshop.podman.converter(case.script))
    assert workshop.services.run("serve", "--once", seconds=120).returncode == 0
    wrong = {}
    for way, case in WAYS.items():
        stage, words = workshop.tracking.stages(orders[way])[-1], workshop.tracking.description(orders[way])
        if case.says:
            as_expected = stage == "Import Failed" and case.says in words and len(words) <= 500
        else:
            as_expected = stage == "Import Completed" and workshop.readable(orders[way]) == 1
        if not as_expected or case.heard not in workshop.log(orders[way]):
            wrong[way] = f"{stage}: {words}"
    assert wrong == {}
    assert workshop.left(data_folder) == []
    failed = [orders[way] for way, case in WAYS.items() if case.says]
    assert [image for order in failed for image in workshop.lab.images_with(order)] == []


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "an image that may not run": ({"container": "docker.io/somebody/miner"}, "'docker.io/somebody/miner' may not run here"),
    "an image without a registry": ({"container": "localhost.evil/adi-test/x"}, "may not run here"),
    "no image": ({"container": "-v /:/host"}, "-v /:/host"),
    "another input": ({"parameters": {"inputfile": "/data/secret.tif"}}, "inputfile"),
    "another output": ({"parameters": {"--altoutputfolder": "/data"}}, "altoutputfolder"),
    "a folder of the kernel": ({"alt": "/proc/self"}, "/proc/self"),
    "a folder above": ({"output_folder": "/data/../.."}, "/data/../.."),
    "one in the other": ({"alt": "/data/.processed"}, "lie in one another"),
    "parameters that are none": ({"parameters": ["-v", "/:/host"]}, "extra_params"),
    "a NUL": ({"parameters": {"save": "a\0b"}}, "NUL"),
}


def test_orders_that_mean_harm_are_refused_by_name(workshop: Workshop, data_folder: Path) -> None:
    image = workshop.podman.converter(COPY)
    source = workshop.samples.image("scan.ome.tif")
    orders = {harm: workshop.order(source, **({"container": image} | asked)) for harm, (asked, _) in HOSTILE.items()}
    assert workshop.services.run(*ONCE).returncode == 0
    told = {harm: workshop.tracking.description(order) for harm, order in orders.items()}
    assert {harm: words for harm, words in told.items() if HOSTILE[harm][1] not in words} == {}
    assert {workshop.tracking.stages(order)[-1] for order in orders.values()} == {"Import Failed"}
    assert workshop.left(data_folder) == []


ECHO = (
    """\
printf '%s|' "$@" >&2
echo >&2
"""
    + COPY
)


def test_what_looks_like_options_of_podman_is_text_for_the_converter(workshop: Workshop, data_folder: Path) -> None:
    folder = data_folder / "a:b,c {Files} $(touch x)"
    folder.mkdir()
    source = shutil.copy(workshop.samples.image("scan.ome.tif"), folder / "a;b 'c' {Files}.ome.tif")
    parameters = {
        "v": "/:/host",
        "privileged": True,
        "volume=/etc:/etc": "{Files}",
        "many": ["{Files}", 1, None],
        "none": None,
        "quote": "'; rm -rf / #",
        "number": 1.5,
    }
    order = workshop.order(source, container=workshop.podman.converter(ECHO), parameters=parameters)
    assert workshop.services.run(*ONCE).returncode == 0
    assert workshop.tracking.stages(order)[-1] == "Import Completed"
    path = "/data/a;b 'c' {Files}.ome.tif"
    given = [
        "--inputfile", path, "--v", "/:/host", "--privileged", "true", "--volume=/etc:/etc", path, "--many",
        f'["{path}", 1, null]', "--none", "null", "--quote", "'; rm -rf / #", "--number", "1.5",
        "--outputfolder", "/data/.processed", "--altoutputfolder", "/out",
    ]  # fmt: skip
    assert "|".join(given) in workshop.log(order, "errs").replace('\\"', '"')
    assert workshop.readable(order) == 1
    assert sorted(path.name for path in folder.iterdir()) == [".processed", "a;b 'c' {Files}.ome.tif"]
    assert workshop.left(data_folder) == []


def test_a_converter_that_is_killed_from_outside_is_run_again(workshop: Workshop, data_folder: Path) -> None:
    script = READ_ARGUMENTS + 'if [ -e /data/second ]; then cp "$in" "$alt/a.ome.tif"; else echo first; sleep 1000; fi'
    order = workshop.order(source := workshop.samples.image("scan.ome.tif"), container=workshop.podman.converter(script))
    workshop.services.start()
    wait_until(lambda: workshop.podman.containers() and "first" in workshop.log(order), what="the converter")
    (Path(source).parent / "second").touch()
    workshop.podman("kill", *workshop.podman.containers())
    workshop.done(order)
    assert workshop.tracking.stages(order)[-1] == "Import Completed"
    started = "SELECT count(*) FROM imports WHERE uuid = %s AND stage = 'Import Started' AND description LIKE %s"
    assert workshop.tracking.sql(started, order, "Attempt 2%was killed while it converted%") == [(1,)]
    assert workshop.readable(order) == 1
    assert workshop.left(data_folder) == []


def test_two_orders_that_convert_to_the_same_name_keep_their_own_pixels(workshop: Workshop, data_folder: Path) -> None:
    image = workshop.podman.converter(COPY)
    sources = [Path(workshop.samples.image(f"scan{number}.ome.tif", seed=number)) for number in (1, 2)]
    orders = []
    for source in sources:
        orders.append(workshop.order(source, container=image))
        assert workshop.services.run(*ONCE).returncode == 0
    kept = sources[0].parent / ".processed"
    second = kept / f"made.{orders[1][:8]}.ome.tif"
    assert (kept / "made.ome.tif").read_bytes() == sources[0].read_bytes()
    assert second.read_bytes() == sources[1].read_bytes()
    assert [workshop.readable(order) for order in orders] == [1, 1]
    assert {kept / "made.ome.tif", second} <= set(workshop.links().values())
    assert workshop.left(data_folder) == []


def test_a_folder_that_is_ordered_does_not_bring_in_what_was_made_of_its_files(workshop: Workshop, data_folder: Path) -> None:
    workshop.services.configure(processed_folder="converted")
    image = workshop.podman.converter(TWO)
    source = Path(workshop.samples.image("scan.ome.tif"))
    converted = workshop.order(source, container=image)
    assert workshop.services.run(*ONCE).returncode == 0
    assert workshop.readable(converted) == 2
    assert sorted(path.name for path in (source.parent / "converted").iterdir()) == ["one.ome.tif", "two.ome.tif"]
    assert not (source.parent / ".processed").exists()
    whole = workshop.tracking.order(workshop.lab, str(source.parent))
    assert workshop.services.run(*ONCE).returncode == 0
    assert workshop.names(whole) == ["scan.ome.tif"]


def test_orders_wait_for_what_a_host_lacks_and_others_go_on(workshop: Workshop, data_folder: Path) -> None:
    image = workshop.podman.converter(COPY)
    large = data_folder / "large.lif"
    large.touch()
    os.truncate(large, 2**43)  # without a block of the disk
    here = workshop.samples.image("scan.ome.tif")
    beside = workshop.samples.image("beside.ome.tif", seed=3)
    no_room = workshop.order(large, beside, container=image)
    service = workshop.services.start()
    note = "SELECT coalesce(note, '') FROM adi_order WHERE uuid = %s AND state = 'waiting'"
    wait_until(lambda: any("Make room" in said for (said,) in workshop.tracking.sql(note, no_room)), what="the note")
    assert workshop.readable(no_room) == 1, "what there is room for goes in"
    workshop.done(workshop.order(here, container=image))
    workshop.services.stop(service)
    workshop.services.configure(podman_socket=str(data_folder / "nobody"))
    no_podman = workshop.order(here, container=image)
    service = workshop.services.start()
    wait_until(
        lambda: any("Converters cannot run on" in said for (said,) in workshop.tracking.sql(note, no_podman)), what="the note"
    )
    workshop.done(workshop.tracking.order(workshop.lab, here))
    assert workshop.tracking.sql("SELECT failures FROM adi_order WHERE uuid IN (%s, %s)", no_room, no_podman) == [(0,), (0,)]
    for order in (no_room, no_podman):
        assert workshop.services.run("orders", "cancel", order).returncode == 0
    workshop.done(no_room, no_podman)
    assert workshop.left(data_folder) == []


def test_what_somebody_else_writes_into_the_record_brings_in_no_other_file(workshop: Workshop, data_folder: Path) -> None:
    (theirs := data_folder / "theirs").mkdir()
    sources = [Path(workshop.samples.image(f"{name}.ome.tif", seed=seed)) for seed, name in enumerate(("one", "two"))]
    script = READ_ARGUMENTS + 'cp "$in" "$alt/made-$(basename $in)"'
    order = workshop.order(*sources, container=workshop.podman.converter(script))
    assert workshop.services.run(*ONCE).returncode == 0
    hql = "select distinct i.fileset.id from Image i where i.id in (:ids)"
    filesets = [fileset for (fileset,) in workshop.lab.session.query(hql, ids=workshop.lab.images_with(order))]
    workshop.lab.gateway().deleteObjects("Fileset", filesets, wait=True)
    secrets = [theirs / f"made-{source.name}" for source in sources]
    for seed, secret in enumerate(secrets):
        shutil.copy(workshop.samples.image("secret.ome.tif", seed=7 + seed), secret)
    status = secrets[0].stat()
    another = {"place": str(secrets[0]), "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    for source, path, value in (
        (sources[0], "{filesets,0,files,0}", another),
        (sources[1], "{filesets,0}", {"temp": str(theirs)}),
    ):
        forge = "UPDATE adi_conversion SET made = jsonb_set(made, %s, made #> %s || %s::jsonb) WHERE entry = %s"
        workshop.tracking.sql(forge, path, path, json.dumps(value), str(source))
    assert workshop.services.run("orders", "retry", order, "--again").returncode == 0
    assert workshop.services.run(*ONCE).returncode == 0
    assert workshop.tracking.stages(order)[-1] == "Import Completed"
    kept = {source.parent / ".processed" / f"made-{source.name}" for source in sources}
    assert {place for place in workshop.links().values() if data_folder in place.parents} == kept
    assert {place.read_bytes() for place in kept} == {source.read_bytes() for source in sources}
    assert workshop.readable(order) == 2
