# SPDX-License-Identifier: GPL-2.0-or-later
"""Orders are carried out by scripts on OMERO's Processors, on hosts of their own; whatever dies, they come to their end once."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Sequence

import pytest

from omero_adi_plugin.sessions import Account
from tests.fixtures.crowd import crowd_of, failures
from tests.fixtures.grid import caught, wait_taken
from tests.fixtures.holds import imports_held
from tests.fixtures.laboratory import Lab
from tests.fixtures.omero import ServerHere
from tests.fixtures.processors import NOT_INSTALLED, Host, Hosts
from tests.fixtures.samples import Samples
from tests.fixtures.services import Services, Tracking, alive, clean
from tests.fixtures.waiting import wait_until

pytestmark = pytest.mark.usefixtures("without_java")

USERS, ORDERS = 5, 100
PENDING, STARTED, COMPLETED = "Import Pending", "Import Started", "Import Completed"


@pytest.fixture
def omero_account(grid_server: ServerHere) -> Account:
    return grid_server.account


# --- hosts that die


def test_two_processors_work_off_what_five_users_have_ordered_and_one_of_them_is_killed_in_the_middle(
    grid_server: ServerHere, hosts: Hosts, tracking: Tracking, services: Services, samples: Samples
) -> None:
    one, other = hosts.start("adi-one"), hosts.start("adi-two")
    with crowd_of(grid_server.account, USERS) as crowd:
        uuids = crowd.order(tracking, samples, ORDERS)
        services.start()
        wait_until(lambda: len(done := hosts_of(tracking)) == 2 and sum(done.values()) > ORDERS / 3, what="a third of the orders")
        cut_off = caught(tracking, one)
        before, killed = hosts_of(tracking), len(one.scripts())
        hosts.kill(one)
        assert not tracking.ended(*uuids), "nothing was left to do: this proves nothing"
        tracking.wait(*uuids, seconds=60)
        wait_until(lambda: not other.scripts(), what="the end of the last script")
        crowd.check_each_once(tracking)
        crowd.check_nothing_left(grid_server)
        assert failures(tracking, uuids) == []
        again = {uuid for uuid in uuids if tracking.stages(uuid) == [PENDING, STARTED, STARTED, COMPLETED]}
        assert cut_off <= again
        assert {tuple(tracking.stages(uuid)) for uuid in set(uuids) - again} == {(PENDING, STARTED, COMPLETED)}
        after = hosts_of(tracking)
        assert (after["adi-one"], sum(after.values())) == (before["adi-one"], ORDERS)
        users = [lab.user for lab in crowd.labs]
        assert len(sessions(grid_server, users)) - USERS <= killed, "a script has left its session"
        assert outputs(grid_server, users) == []


def test_a_script_goes_on_when_its_service_is_killed_and_when_its_processor_is(
    grid_server: ServerHere, hosts: Hosts, tracking: Tracking, services: Services, samples: Samples, lab: Lab
) -> None:
    host = hosts.start("adi-one")
    service = services.start()
    with imports_held(grid_server, after=0) as reached:
        order = tracking.order(lab, file := samples.image())
        script = wait_taken(tracking, hosts)
        assert reached.wait(60)
        services.kill(service)
        host.kill_processor()
        wait_extended(tracking, order)
    tracking.wait(order)
    assert tracking.stages(order) == [PENDING, STARTED, COMPLETED]
    assert tracking.sql("SELECT owner, outcome FROM adi_attempt") == [(script.owner, "completed")]
    assert lab.markers() == Counter({(order, file): 1})
    wait_until(lambda: not alive(script.pid), what="the end of the script")


def wait_extended(tracking: Tracking, order: str) -> None:
    """Wait until a script has asked for its order once more, and so knows what there is to know."""
    until = "SELECT lease_until FROM adi_order WHERE uuid = %s"
    before = tracking.sql(until, order)
    wait_until(lambda: tracking.sql(until, order) > before, what="a longer lease")


def hosts_of(tracking: Tracking) -> Counter[str]:
    """How many orders came to their end on which host."""
    ended = "SELECT owner FROM adi_attempt WHERE outcome IN ('completed', 'failed')"
    return Counter(owner.partition("@")[2].partition(":")[0] for (owner,) in tracking.sql(ended))


def sessions(server: ServerHere, users: Sequence[str]) -> list[str]:
    """What is open of these users."""
    ids = {server.server.store.people.user_id(user) for user in users}
    return [each.uuid for each in server.server.sessions.all() if each.alive() and each.user in ids]


def outputs(server: ServerHere, users: Sequence[str]) -> list[str]:
    """What scripts of these users have printed, as OMERO keeps it."""
    hql = "select f.name, o.omeName from OriginalFile f join f.details.owner o where f.name in ('stdout', 'stderr')"
    with server.client() as root:
        rows = root.sf.getQueryService().projection(hql, None, {"omero.group": "-1"})
    return [f"{name.val} of {user.val}" for name, user in rows if user.val in users]


# --- what reaches a script


def test_cancelling_and_draining_reach_the_scripts_that_run(
    grid_server: ServerHere, hosts: Hosts, tracking: Tracking, services: Services, samples: Samples, lab: Lab
) -> None:
    host = hosts.start("adi-one")
    services.start()
    files = [samples.image(f"{number}.ome.tif", seed=number) for number in range(3)]
    with imports_held(grid_server, after=0):
        cancelled = tracking.order(lab, *files)
        wait_taken(tracking, hosts, cancelled)
        assert services.run("orders", "cancel", cancelled).returncode == os.EX_OK
        wait_until(lambda: stops(host, cancelled), what="the order's stop")
    tracking.wait(cancelled)
    assert "ancelled" in tracking.description(cancelled)
    assert lab.markers() == Counter({(cancelled, files[0]): 1})
    with imports_held(grid_server, after=1) as reached:
        drained = tracking.order(lab, *files)
        assert reached.wait(60)
        draining = subprocess.Popen(services.command("pause", "--drain"), stderr=subprocess.DEVNULL, env=clean())
        wait_until(lambda: stops(host, drained), what="the order's stop")
    assert draining.wait(60) == os.EX_OK
    assert tracking.sql("SELECT state FROM adi_order WHERE uuid = %s", drained) == [("waiting",)]
    assert services.run("resume").returncode == os.EX_OK
    tracking.wait(drained)
    assert tracking.stages(drained) == [PENDING, STARTED, STARTED, COMPLETED]
    assert failures(tracking, [drained]) == []
    assert {key: count for key, count in lab.markers().items() if key[0] == drained} == {(drained, file): 1 for file in files}


def stops(host: Host, order: str) -> bool:
    """Whether a script there begins nothing more of an order."""
    lines = (host.omerodir / "log" / "app.logs").read_text().splitlines()
    return any("event=order.stops" in line and order in line for line in lines)


# --- who carries out what


def test_a_service_with_workers_and_one_that_launches_scripts_share_a_queue(
    grid_server: ServerHere, hosts: Hosts, tracking: Tracking, services: Services, samples: Samples, lab: Lab
) -> None:
    hosts.start("adi-one")
    services.start()
    with imports_held(grid_server, after=0):
        files = [samples.image(f"{number}.ome.tif", seed=number) for number in range(6)]
        uuids = [tracking.order(lab, file) for file in files]
        script = wait_taken(tracking, hosts)
        services.start(dispatch="local")
        local = "SELECT lease_owner FROM adi_order WHERE state = 'running' AND NOT in_script"
        [(worker,)] = wait_until(lambda: tracking.sql(local), what="an order that a worker has")
    tracking.wait(*uuids)
    shares = Counter(owner for (owner,) in tracking.sql("SELECT owner FROM adi_attempt"))
    assert min(shares[script.owner], shares[worker]) > 0
    assert {tuple(tracking.stages(uuid)) for uuid in uuids} == {(PENDING, STARTED, COMPLETED)}
    assert lab.markers() == Counter(zip(uuids, files, strict=True))


def test_orders_wait_for_a_processor_that_can_carry_them_out_and_the_status_says_why(
    grid_server: ServerHere, hosts: Hosts, tracking: Tracking, services: Services, samples: Samples, lab: Lab
) -> None:
    services.start()
    order = tracking.order(lab, file := samples.image())
    wait_until(lambda: "No Processor of OMERO" in trouble(tracking), what="a sentence of the Processor that is not there")
    without_package = hosts.start("adi-bare", customize=NOT_INSTALLED)
    wait_until(lambda: "adi-bare cannot carry out" in note(tracking, order), what="a sentence of the one without our package")
    wait_until(lambda: "adi-bare cannot carry out" in services.run("status").stdout, what="the same in the status")
    hosts.kill(without_package)
    without_settings = hosts.start("adi-new", settings=False)
    wait_until(lambda: "adi-new cannot carry out" in note(tracking, order), what="a sentence of the one without settings")
    hosts.kill(without_settings)
    assert tracking.stages(order)[-1] != COMPLETED
    hosts.start("adi-one")
    tracking.wait(order)
    assert failures(tracking, [order]) == []
    assert lab.markers() == Counter({(order, file): 1})
    wait_until(lambda: not trouble(tracking), what="that all is well")


def trouble(tracking: Tracking) -> str:
    """Why nothing is begun at the moment, as the service says."""
    return " ".join(why for (why,) in tracking.sql("SELECT trouble FROM adi_service WHERE trouble IS NOT NULL"))


def note(tracking: Tracking, order: str) -> str:
    """Why it waits."""
    [(words,)] = tracking.sql("SELECT coalesce(note, '') FROM adi_order WHERE uuid = %s", order)
    return str(words)
