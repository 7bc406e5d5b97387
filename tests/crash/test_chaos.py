# SPDX-License-Identifier: GPL-2.0-or-later
"""The short form of chaos (`make chaos` is the long one), and that it sees what it is to see."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omero_adi_plugin.sessions import Account
from tests.crash.chaos.findings import Promise
from tests.crash.chaos.holdings import Held, Holdings
from tests.crash.chaos.in_folders import check_kept
from tests.crash.chaos.in_omero import check_disk, check_omero
from tests.crash.chaos.in_tables import check_tables
from tests.crash.chaos.orders import Fileset, Order
from tests.crash.chaos.plan import OF_GRID, Dispatch, Kind, Sort, draw
from tests.crash.chaos.run import carry_out
from tests.crash.chaos.surroundings import Size
from tests.crash.chaos.wire import wired
from tests.fixtures.laboratory import Lab
from tests.fixtures.services import Tracking

SEED = 3
"""Of which all sorts of orders come, and a container is to be killed while many orders are left."""


@pytest.mark.timeout(900)  # for a host that is busy with other things: a minute alone, and two and a half beside other tests
def test_nothing_is_lost_doubled_or_left_while_one_fault_of_each_kind_happens() -> None:
    plan = draw(SEED, orders=30, kills=len(Kind), dispatch=Dispatch.GRID)
    result, folder = carry_out(plan, size=Size(services=2, workers=2, launching=1, hosts=1))
    assert result.went_well, "\n".join([result.line(), str(folder), *map(str, result.findings)])
    assert result.orders >= len(plan.sorts)  # a few more, if a fault found nothing to hit
    assert {dealt.fault.kind for dealt in result.dealt} == set(Kind), result.table()
    assert result.cut_off, "nothing was cut off: this proves nothing"


def test_the_same_seed_is_the_same_plan_and_each_kind_of_fault_comes_often_enough() -> None:
    plan = draw(1, orders=1000, kills=200, dispatch=Dispatch.GRID)
    assert plan == draw(1, orders=1000, kills=200, dispatch=Dispatch.GRID)
    assert plan != draw(2, orders=1000, kills=200, dispatch=Dispatch.GRID)
    assert min(Counter(fault.kind for fault in plan.faults)[kind] for kind in Kind) >= 10
    assert not OF_GRID & {fault.kind for fault in draw(1, orders=1000, kills=200).faults}
    assert set(plan.sorts) == set(Sort)
    assert sum(plan.waves) == len(plan.sorts) == 1000
    assert [fault.after for fault in plan.faults] == sorted(fault.after for fault in plan.faults)
    assert len({fault.moment for fault in plan.faults if fault.kind is Kind.MOMENT}) > 10


def test_a_wire_carries_both_ways_and_can_be_cut_and_nobody_need_listen_at_its_other_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, wired(server.getsockname()[1]) as wire:
        with socket.create_connection(("127.0.0.1", wire.port)) as client:
            there, _ = server.accept()
            with there:
                client.sendall(b"question")
                assert there.recv(100) == b"question"
                there.sendall(b"answer")
                assert client.recv(100) == b"answer"
                assert wire.cut() == 1
                assert ended(client)
                assert ended(there)
                assert (wire.cut(), wire.closed) == (0, 0)
        with socket.create_connection(("127.0.0.1", wire.port)) as client:
            client.sendall(b"question")
            there, _ = server.accept()
            there.close()
            assert ended(client)
            assert wire.closed == 1
        server.close()
        with socket.create_connection(("127.0.0.1", wire.port)) as client:
            assert ended(client)


def ended(end: socket.socket) -> bool:
    end.settimeout(10)
    try:
        return end.recv(100) == b""
    except ConnectionResetError:
        return True


# --- what it finds

LAB = Lab(account=Account(host="", port=1, user="", password=""), user="ada", group="lab", dataset=7, screen=8, session=None)  # type: ignore[arg-type]
UUID = "00000000-0000-4000-8000-000000000001"
FILE = "/data/1.ome.tif"


def an_order(**changed: object) -> Order:
    order = Order(uuid=UUID, sort=Sort.FILE, lab=LAB, entries=[FILE], filesets=[Fileset(files=frozenset([FILE]), images=2)])
    for name, value in changed.items():
        setattr(order, name, value)
    return order


def as_it_should_be() -> Holdings:
    return Holdings(
        filesets=[Held(id=1, owner="ada", folder="ada_1", paths=[FILE], marked={UUID}, series={11: 0, 12: 1})],
        image_targets={11: [7], 12: [7]},
        plate_targets={},
        values={("Image", 11): [21], ("Image", 12): [21]},
        pairs={21: {"UUID": UUID}},
        loose=[],
        orphans=[],
        rows={"ada_1": True, "ada_1/1.ome.tif": False},
    )


def test_what_is_as_it_should_be_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "ada_1").mkdir()
    (tmp_path / "1.ome.tif").touch()
    (tmp_path / "ada_1/1.ome.tif").symlink_to(tmp_path / "1.ome.tif")
    assert list(check_omero([an_order()], as_it_should_be())) == []


def second(held: Holdings) -> None:
    held.filesets.append(replace(held.filesets[0], id=2, series={13: 0, 14: 1}))
    held.image_targets |= {13: [7], 14: [7]}
    held.values |= {("Image", 13): [21], ("Image", 14): [21]}


SPOILT: dict[str, tuple[Callable[[Holdings], object], set[Promise]]] = {
    "it is not there": (lambda held: held.filesets.clear(), {Promise.LOST}),
    "it is there twice": (second, {Promise.DOUBLED}),
    "it is of nobody": (lambda held: held.filesets[0].marked.clear(), {Promise.LEFTOVER, Promise.LOST}),
    "it is of somebody else": (lambda held: held.filesets[0].marked.add("other"), {Promise.LEFTOVER, Promise.LOST}),
    "an image is missing": (lambda held: held.filesets[0].series.pop(12), {Promise.LEFTOVER}),
    "there is one too many": (lambda held: held.filesets[0].series.update({12: 1, 11: 2}), {Promise.LEFTOVER}),
    "all show the first series": (lambda held: held.filesets[0].series.update({12: 0}), {Promise.LEFTOVER}),
    "no statistics": (lambda held: held.filesets[0].blank.add(11), {Promise.LEFTOVER}),
    "not in the Dataset": (lambda held: held.image_targets[11].clear(), {Promise.LOST}),
    "in it twice": (lambda held: held.image_targets[11].append(7), {Promise.DOUBLED}),
    "in another one": (lambda held: held.image_targets.update({11: [9]}), {Promise.LOST}),
    "no key-values": (lambda held: held.values.pop(("Image", 12)), {Promise.LOST}),
    "key-values twice": (lambda held: held.values[("Image", 12)].append(21), {Promise.DOUBLED}),
    "key-values of another order": (lambda held: held.pairs[21].update(UUID="other"), {Promise.LOST}),
    "key-values on nothing": (lambda held: held.loose.append("MapAnnotation 22"), {Promise.LEFTOVER}),
    "an image without a fileset": (lambda held: held.orphans.append(15), {Promise.LEFTOVER}),
    "of another user": (lambda held: setattr(held.filesets[0], "owner", "bob"), {Promise.LOST}),
    "with other files": (lambda held: held.filesets[0].paths.append("/data/2.ome.tif"), {Promise.LOST, Promise.DOUBLED}),
}


@pytest.mark.parametrize("spoilt", list(SPOILT))
def test_what_is_wrong_in_omero_is_found(spoilt: str) -> None:
    spoil, promises = SPOILT[spoilt]
    held = as_it_should_be()
    spoil(held)
    assert {finding.promise for finding in check_omero([an_order()], held)} == promises


def test_what_is_wrong_on_disk_is_found(tmp_path: Path) -> None:
    repository, source = tmp_path / "repository", tmp_path / "1.ome.tif"
    (repository / "ada_1").mkdir(parents=True)
    link = repository / "ada_1/1.ome.tif"
    source.touch()
    link.symlink_to(source)
    held = as_it_should_be()
    held.filesets[0].paths[:] = [str(source)]
    assert list(check_disk(held, repository)) == []
    source.unlink()
    assert [f.promise for f in check_disk(held, repository)] == [Promise.LEFTOVER]  # it leads nowhere
    source.touch()
    link.unlink()
    assert {f.promise for f in check_disk(held, repository)} == {Promise.LEFTOVER, Promise.LOST}
    link.symlink_to(source)
    (repository / "ada_1/2").mkdir()
    assert [f.promise for f in check_disk(held, repository)] == [Promise.LEFTOVER] * 2  # it is empty, and nobody knows it
    (repository / "ada_1/2/1").symlink_to(source)
    held.rows |= {"ada_1/2": True, "ada_1/2/1": False}
    assert [f.promise for f in check_disk(held, repository)] == [Promise.LEFTOVER]  # two links to one file
    held.rows["gone"] = False
    assert [f.promise for f in check_disk(held, repository)] == [Promise.LEFTOVER] * 2
    held.rows |= {"ada_1.log": False, "ada_2.log": False}
    (repository / "ada_1.log").touch()
    (repository / "ada_2.log").touch()
    assert [f.promise for f in check_disk(held, repository)] == [Promise.LEFTOVER] * 3


def test_what_is_wrong_with_what_is_kept_of_converters_is_found(tmp_path: Path) -> None:
    source, kept = tmp_path / "scan.ome.tif", tmp_path / ".processed"
    kept.mkdir()
    for place in (source, kept / "one.ome.tif", kept / "two.ome.tif"):
        place.write_bytes(b"pixels")
    filesets = [Fileset(files=frozenset([str(kept / f"{name}.ome.tif")]), images=1) for name in ("one", "two")]
    orders = [an_order(sort=Sort.CONVERTED, entries=[str(source)], filesets=filesets)]
    assert list(check_kept(orders)) == []
    (kept / "one.ome.tif").write_bytes(b"others")
    assert [finding.promise for finding in check_kept(orders)] == [Promise.LOST]
    (kept / "one.ome.tif").rename(kept / "one.00000000.ome.tif")
    assert [finding.promise for finding in check_kept(orders)] == [Promise.LEFTOVER, Promise.LOST]


TRAILS: dict[str, tuple[str, str, dict[str, Any], bool]] = {
    "done": ("PSC", "completed", {}, False),
    "done at the second attempt": ("PSSC", "completed", {}, False),
    "submitted again while it ran": ("PSPC", "completed", {"submitted": 2}, False),
    "and done again": ("PSPCSC", "completed", {"submitted": 2}, False),
    "failed as it must": ("PSF", "failed", {"reason": "why it failed"}, False),
    "called off": ("PF", "cancelled", {"sort": Sort.CANCELLED, "reason": None}, False),
    "not begun": ("P", "waiting", {}, True),
    "not ended": ("PS", "running", {}, True),
    "ended twice": ("PSCC", "completed", {}, True),
    "ended more often than ordered": ("PSCSC", "completed", {}, True),
    "failed": ("PSF", "failed", {}, True),
    "done, and was to fail": ("PSC", "completed", {"reason": "why it failed"}, True),
    "done, and failed in the queue": ("PSC", "failed", {}, True),
    "never ordered": ("SC", "completed", {}, True),
}


@pytest.mark.parametrize("case", list(TRAILS))
def test_what_is_wrong_in_a_trail_is_found(case: str, tracking: Tracking) -> None:
    trail, state, changed, is_wrong = TRAILS[case]
    stages = {"P": "Import Pending", "S": "Import Started", "C": "Import Completed", "F": "Import Failed"}
    order = an_order(**changed)
    why = "Cancelled by a test" if order.called_off else "why it failed"
    for number, letter in enumerate(trail):
        tracking.sql(
            "INSERT INTO imports (uuid, user_name, group_name, destination_id, destination_type, files, stage, description,"
            " timestamp) VALUES (%s, 'ada', 'lab', '7', 'Dataset', '[]', %s, %s, now() + make_interval(secs => %s))",
            UUID,
            stages[letter],
            why if letter == "F" else None,
            number,
        )
    lease = "'here', gen_random_uuid(), now()" if state == "running" else "NULL, NULL, NULL"
    tracking.sql(
        "INSERT INTO adi_order (uuid, imports_id, user_name, group_name, state, lease_owner, lease_token, lease_until)"
        f" VALUES (%s, 1, 'ada', 'lab', %s, {lease})",
        UUID,
        state,
    )
    assert bool([f for f in check_tables([order], tracking) if f.promise is Promise.LOST]) == is_wrong
