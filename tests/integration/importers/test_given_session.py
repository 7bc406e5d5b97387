# SPDX-License-Identifier: GPL-2.0-or-later
"""The session that a Processor gives to a script: joined as often as wanted, never replaced, and ended with the script."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import omero
import pytest

from omero_adi_plugin.errors import ConnectionBroken, NotInGroup, OmeroDown, SessionOver
from omero_adi_plugin.sessions import GivenSession
from tests.fixtures.earlier import keeping_alive
from tests.fixtures.omero import ServerHere
from tests.fixtures.omero_client import PASSWORD
from tests.fixtures.waiting import wait_until

LIFE_SECONDS = 3600


class Script:
    """What a Processor has made: a session with one reference of its own, and a client that has joined it."""

    def __init__(self, server: ServerHere, folder: Path) -> None:
        self._server = server
        self.config = folder / "config"
        with server.client() as root:
            principal = omero.sys.Principal("ada", "lab", "Processing", None)
            made = root.sf.getSessionService().createSessionWithTimeouts(principal, LIFE_SECONDS * 1000, 0)
            self.uuid: str = made.uuid.val
            router = root.getProperty("Ice.Default.Router")
        self.config.write_text(f"omero.user={self.uuid}\nomero.pass={self.uuid}\nIce.Default.Router={router}\n")
        self.client = omero.client([f"--Ice.Config={self.config}"])
        self.client.createSession().detachOnDestroy()
        self.given = GivenSession(self.client, config=str(self.config))

    @property
    def there(self) -> bool:
        """Whether the session is."""
        return self._server.server.sessions.find(self.uuid) is not None

    def end_session(self) -> None:
        sessions = self._server.server.sessions
        session = sessions.find(self.uuid)
        assert session is not None
        sessions.end(session)


@pytest.fixture
def server(server_here: ServerHere) -> ServerHere:
    server_here.add_group("lab")
    server_here.add_group("other")
    server_here.add_user("ada", PASSWORD, ["lab", "other"])
    return server_here


@pytest.fixture
def script(server: ServerHere, tmp_path: Path) -> Iterator[Script]:
    made = Script(server, tmp_path)
    yield made
    made.given.close()
    made.client.closeSession()


def test_it_says_whose_it_is_and_how_long_it_lives(script: Script, server: ServerHere) -> None:
    given = script.given
    assert (given.user, given.group, given.life_seconds) == ("ada", "lab", LIFE_SECONDS)
    assert given.where == f"127.0.0.1:{server.ssl_port}"


def test_it_can_be_joined_again_and_again_and_is_there_afterwards(script: Script) -> None:
    for _ in range(2):
        with script.given.act_for("ada", "lab") as session:
            assert (session.user, session.group, session.client.getSessionId()) == ("ada", "lab", script.uuid)
            assert session.query("select g.name from ExperimenterGroup g where g.name = 'lab'") == [["lab"]]
        assert script.there
    assert keeping_alive() == ["keep-alive ada"], "that of the script itself"


@pytest.mark.parametrize(("user", "group"), [("root", "lab"), ("ada", "other"), ("ada", "system")])
def test_it_is_nobody_elses_and_in_no_other_group(user: str, group: str, script: Script) -> None:
    with pytest.raises(NotInGroup):
        script.given.act_for(user, group)


def test_it_ends_with_the_script_that_says_so(script: Script) -> None:
    script.given.end()
    assert script.there, "the script has still to say what it has done"
    script.client.setOutput("Message", omero.rtypes.rstring("done"))
    script.client.closeSession()
    wait_until(lambda: not script.there, what="the end of the session")


def test_it_stays_when_the_script_does_not_say_so(script: Script) -> None:
    """Whoever has launched it may still want its results."""
    script.client.closeSession()
    assert script.there


def test_what_has_ended_is_over_and_nothing_else(script: Script, server: ServerHere) -> None:
    script.end_session()
    with pytest.raises(SessionOver):
        script.given.act_for("ada", "lab")
    script.given.end()  # never raises
    assert keeping_alive() == ["keep-alive ada"], "that of the script itself"


def test_a_server_that_has_gone_or_has_no_connection_left_is_no_ended_session(script: Script, server: ServerHere) -> None:
    server.disturb.fail("login", exception="Glacier2.PermissionDeniedException", message="Internal error. Please contact …")
    with pytest.raises(OmeroDown, match="overloaded"):
        script.given.act_for("ada", "lab")
    server.disturb.lose_connection("login")
    with pytest.raises(ConnectionBroken):
        script.given.act_for("ada", "lab")
    with script.given.act_for("ada", "lab"):
        pass


def test_a_script_knows_its_age_whatever_the_clock_says() -> None:
    """Slow to start: what it did before it was asked counts."""
    program = (
        "import time; began = time.monotonic(); time.sleep(0.4); import omero\n"
        "from omero_adi_plugin.sessions.given import age_seconds\n"
        "age, known = age_seconds(), time.monotonic() - began\n"
        "assert known - 0.02 <= age < known + 5, (age, known)\n"
    )
    done: Any = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
