# SPDX-License-Identifier: GPL-2.0-or-later
"""`omero adi scripts`, what `check` says of scripts, and that it says which secrets lie open."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omero_adi_plugin._version import __version__
from omero_adi_plugin.grid.shipped import RUN_ORDERS, shipped
from omero_adi_plugin.sessions import Account, Logins
from tests.fixtures.administrators import add_administrator
from tests.fixtures.inside import Inside
from tests.fixtures.omero import ServerHere, running_here
from tests.fixtures.omero_client import PASSWORD
from tests.fixtures.our_scripts import OLDER, OTHERS, RUN, Scripts
from tests.fixtures.services import Services

ALL = ", ".join(each.name for each in shipped())


@pytest.fixture
def server_here(server_template: Path, tmp_path: Path) -> Iterator[ServerHere]:
    """A server of the test's own, without a Processor: that would run each script that is written."""
    with running_here(tmp_path / "omero", template=server_template, processors=0) as server:
        yield server


@pytest.fixture
def omero_account(server_here: ServerHere) -> Account:
    """Of root of a server of the test's own, in place of everybody's."""
    return server_here.account


@pytest.fixture
def scripts(server_here: ServerHere) -> Iterator[Scripts]:
    with Logins(server_here.account) as logins:
        yield Scripts(server_here, logins.service())


def finding(inside: Inside, name: str) -> dict[str, str] | None:
    """What `check` says of one thing, None if nothing."""
    done = inside("check", "--json")
    assert done.status in {os.EX_OK, os.EX_CONFIG}, done.stderr
    found: dict[str, dict[str, str]] = {each["name"]: each for each in json.loads(done.stdout)["findings"]}
    return found.get(name)


def test_status_tells_what_the_server_has(inside: Inside, scripts: Scripts) -> None:
    first, *rest = OTHERS
    scripts.put(*rest)
    scripts.put(RUN, text=OLDER)
    done = inside("scripts", "status")
    assert (done.status, done.stderr) == (0, "`omero adi scripts install` brings them up to date.\n")
    assert [line.split("\t") for line in done.stdout.splitlines()] == [
        ["script", "on the server", "this package"],
        [first.name, "missing", __version__],
        *([each.name, __version__, __version__] for each in rest),
        [RUN.name, "0.0.1", __version__],
    ]
    scripts.put(*shipped())
    done = inside("scripts", "status")
    assert (done.status, done.stderr, "missing" in done.stdout) == (0, "", False)


def test_install_and_remove_say_what_they_do_in_a_line_each(inside: Inside, scripts: Scripts) -> None:
    scripts.put(*OTHERS)
    scripts.put(RUN, text=OLDER)
    done = inside("scripts", "install")
    lines = [*(f"{each.name}: left alone" for each in OTHERS), f"{RUN.name}: replaced 0.0.1 by {__version__}"]
    assert (done.status, done.stdout.splitlines()) == (0, lines)
    done = inside("scripts", "remove")
    assert (done.status, done.stdout.splitlines()) == (0, [f"{each.name}: removed" for each in shipped()])
    done = inside("scripts", "remove")
    assert (done.status, done.stdout.splitlines()) == (0, [f"{each.name}: was not there" for each in shipped()])


def test_programs_get_it_as_json(inside: Inside, scripts: Scripts, omero_account: Account) -> None:
    scripts.put(*OTHERS)
    common: dict[str, Any] = {"script": RUN.name, "path": RUN_ORDERS, "version": __version__}
    done = json.loads(inside("scripts", "status", "--json").stdout)
    assert (done["omero"], done["up_to_date"]) == (omero_account.where, False)
    assert done["scripts"][-1] == common | {"version_on_server": None, "id": None, "condition": "missing"}
    done = json.loads(inside("scripts", "install", "--json").stdout)
    script = scripts.listed()[RUN_ORDERS]
    assert done["scripts"][-1] == common | {"version_on_server": None, "id": script, "done": "installed", "why": ""}
    done = json.loads(inside("scripts", "status", "--json").stdout)
    assert done["up_to_date"] is True
    assert done["scripts"][-1] == common | {"version_on_server": __version__, "id": script, "condition": "same"}
    done = json.loads(inside("scripts", "remove", "--json").stdout)
    assert done["scripts"][-1] == common | {"version_on_server": __version__, "id": None, "done": "removed", "why": ""}


def test_who_may_not_ends_with_77_and_no_server_with_69(
    inside: Inside, scripts: Scripts, services: Services, server_here: ServerHere
) -> None:
    services.configure(omero_user=add_administrator(server_here, ["Sudo"]), omero_password=PASSWORD)
    done = inside("scripts", "install")
    assert (done.status, done.stdout) == (os.EX_NOPERM, "")
    assert done.stderr.endswith("OMERO_USER=root OMERO_PASSWORD=... omero adi scripts install`.")
    assert inside("scripts", "status").status == os.EX_OK
    assert RUN_ORDERS not in scripts.listed()
    services.configure(omero_port=1)
    assert inside("scripts", "status").status == os.EX_UNAVAILABLE


def test_check_looks_at_scripts_where_there_are_some_or_must_be(inside: Inside, scripts: Scripts, services: Services) -> None:
    assert finding(inside, "scripts") is None
    services.configure(dispatch="grid")
    missing = finding(inside, "scripts")
    assert missing is not None
    assert (missing["level"], missing["finding"].endswith(f"which runs here: {ALL} (missing).")) == ("error", True)
    assert missing["remedy"] == "Run `omero adi scripts install` as an administrator; its --help says how."
    scripts.put(RUN, text=OLDER)
    for dispatch in ("grid", "local"):  # orders go on, people have no scripts
        services.configure(dispatch=dispatch)
        found = finding(inside, "scripts")
        assert found is not None
        assert (found["level"], "Run_Import_Orders.py (0.0.1)" in found["finding"]) == ("warning", True)
    scripts.put(*shipped())
    assert finding(inside, "scripts") == {
        "name": "scripts",
        "level": "ok",
        "finding": f"The scripts on OMERO are those of version {__version__}, which runs here.",
        "remedy": "",
    }


def test_check_goes_on_when_the_scripts_cannot_be_looked_at(inside: Inside, server_here: ServerHere) -> None:
    server_here.disturb.fail("IScript.getScripts", message="too busy")
    found = finding(inside, "scripts")
    assert found is not None
    assert (found["level"], "too busy" in found["finding"]) == ("warning", True)


def test_check_names_a_settings_file_that_everybody_can_read(inside: Inside, services: Services, open_to_all: Path) -> None:
    services.config = services.config.rename(open_to_all / "settings.yml")
    services.config.chmod(0o640)
    kept = finding(inside, "secrets")
    assert kept is not None
    assert kept["level"] == "ok"
    services.config.chmod(0o644)
    found = finding(inside, "secrets")
    assert found is not None
    assert (found["level"], found["remedy"].endswith("`chmod o= FILE`.")) == ("warning", True)
    assert found["finding"].startswith(f"'{services.config}' holds a secret, and every account of this host can read it")
