# SPDX-License-Identifier: GPL-2.0-or-later
"""Launches of scripts, ours and such as go wrong, on a Processor of the server's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from omero_adi_plugin.errors import NoProcessor, NotLaunched
from omero_adi_plugin.grid.catalogue import find
from omero_adi_plugin.grid.installing import install
from omero_adi_plugin.grid.launch import Launch
from omero_adi_plugin.grid.shipped import RUN_ORDERS
from omero_adi_plugin.sessions import Logins, OmeroSession
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.intake import Intake
from omero_adi_plugin.tracking.queue import Queue
from tests.fixtures.omero import ServerHere, running_here
from tests.fixtures.omero_client import PASSWORD
from tests.fixtures.omero_scripts import HEAD
from tests.fixtures.producer import Producer
from tests.fixtures.waiting import wait_until

SCRIPT = (
    HEAD
    + '''
import time
client = scripts.client("Script.py", """Does what it is told""", scripts.String("Do", optional=False))
try:
    exec(client.getInput("Do", True))
finally:
    client.closeSession()
'''
)


@pytest.fixture(scope="module")
def server(server_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerHere]:
    folder = tmp_path_factory.mktemp("launch")
    with running_here(folder / "omero", template=server_template, step_seconds=0, processors=1) as server:
        server.add_group("Demo")
        for name in ("ann", "bob"):
            server.add_user(name, PASSWORD, ["Demo"])
        yield server


@pytest.fixture(scope="module")
def logins(server: ServerHere) -> Iterator[Logins]:
    with Logins(server.account) as logins:
        yield logins


@pytest.fixture(scope="module")
def told(logins: Logins) -> int:
    """A script that does what it is told."""
    return int(logins.service().factory.getScriptService().uploadOfficialScript("/tests/Told.py", SCRIPT))


@contextmanager
def launched(logins: Logins, script: int, *, user: str = "ann", **inputs: str) -> Iterator[tuple[Launch, OmeroSession]]:
    with logins.act_for(user, "Demo") as session:
        launch = Launch.begin(session, script=script, inputs=inputs)
        try:
            yield launch, session
        finally:
            launch.end()


def words(launch: Launch) -> str:
    wait_until(launch.has_ended, what="the end of the script")
    return launch.last_words()


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("client.setOutput('Message', rstring('no database here')); print('and more')", "no database here"),
        ("print('x' * 9000 + '\\n\\nend', flush=True); sys.exit(1)", "x / end"),
        ("os.kill(os.getpid(), 9)", "It has said nothing."),
    ],
    ids=["message", "printed", "killed"],
)
def test_what_a_script_says_at_its_end_is_known_whatever_its_end_was(does: str, says: str, logins: Logins, told: int) -> None:
    with launched(logins, told, Do=does) as (launch, _):
        found = words(launch)
    assert found.endswith(says)
    assert len(found) < 2100


def test_a_script_that_was_let_go_outlives_whoever_launched_it_and_another_one_does_not(
    logins: Logins, told: int, tmp_path: Path
) -> None:
    lives = "import pathlib\nwhile not pathlib.Path({0!r}).exists(): time.sleep(0.05)\npathlib.Path({1!r}).touch()"
    marks = [tmp_path / name for name in ("go", "first", "second")]
    with launched(logins, told, Do=lives.format(str(marks[0]), str(marks[1]))) as (launch, _):
        launch.let_go()
    with launched(logins, told, Do=lives.format(str(marks[0]), str(marks[2]))) as (other, _):
        assert not other.has_ended()
    marks[0].touch()
    wait_until(marks[1].exists, what="the script that was let go")
    assert not marks[2].exists()


def test_a_script_of_another_version_is_named(logins: Logins, told: int) -> None:
    with pytest.raises(NotLaunched, match="other parameters"), launched(logins, told, Order="x", Token="y"):
        pass


def test_nobody_there_to_run_it(server_template: Path, tmp_path: Path) -> None:
    with running_here(tmp_path / "omero", template=server_template, processors=0) as alone, Logins(alone.account) as root:
        session = root.service()
        for each in install(session):
            assert each
        with pytest.raises(NoProcessor, match="No processor available"):
            Launch.begin(session, script=find(session, RUN_ORDERS), inputs={"Order": "o", "Token": "t"})


# --- our own, started by hand


@pytest.fixture
def ours(server: ServerHere, logins: Logins, database_url: str, tmp_path: Path) -> int:
    """Our script, with settings for the Processor that runs it."""
    place = server.managed_repository.parent / "etc" / "omero-adi.yml"
    place.parent.mkdir(exist_ok=True)
    place.write_text(yaml.safe_dump({"ingest_tracking_db": database_url, "base_dir": str(tmp_path)}))
    for _ in install(logins.service()):
        pass
    return find(logins.service(), RUN_ORDERS)


def everything(producer: Producer) -> list[Any]:
    return producer.sql("SELECT to_jsonb(o) FROM adi_order o ORDER BY o.uuid") + producer.sql("SELECT count(*) FROM imports")


def test_whoever_starts_it_by_hand_is_refused_and_nothing_is_changed(
    ours: int, logins: Logins, producer: Producer, intake: Intake, database: Database
) -> None:
    """With a guessed token, and with the right one for another user's order: see test_handover for all that may be wrong."""
    for user in ("ann", "bob"):
        producer.many(1, user=user)
    intake.take_in()
    launcher = Queue(database, lease_seconds=600, in_script=True)
    leases = {}
    while claim := launcher.claim(owner="desk:1"):
        leases[claim.text.user] = claim.lease
    before = everything(producer)
    for order, token in ((leases["ann"].order, str(uuid4())), (leases["bob"].order, str(leases["bob"].token))):
        with launched(logins, ours, Order=order, Token=token) as (launch, _):
            assert words(launch).startswith("This script carries out nothing for you")
    assert everything(producer) == before


def test_it_says_what_keeps_it_from_working_where_it_runs(ours: int, server: ServerHere, logins: Logins) -> None:
    place = server.managed_repository.parent / "etc" / "omero-adi.yml"
    place.write_text("ingest_tracking_db: postgresql://nobody:secret@127.0.0.1:1/x\n")
    with launched(logins, ours, Order="x", Token=str(uuid4())) as (launch, _):
        found = words(launch)
    assert found.startswith("The Processor on "), found
    assert "tracking database cannot be reached" in found
    assert not any(word in found for word in ("secret", "nobody", "127.0.0.1")), "anybody may start it"
