# SPDX-License-Identifier: GPL-2.0-or-later
"""Our scripts on a server: installed, compared and taken off, whatever is there before and whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import omero
import pytest
from omero.model import OriginalFileI

from omero_adi_plugin._version import __version__
from omero_adi_plugin.errors import ConnectionBroken, NotPermitted, ScriptForeign, ScriptNotTaken, ScriptsMissing
from omero_adi_plugin.grid.catalogue import Condition, find, standing
from omero_adi_plugin.grid.installing import DELETING, Change, Done, install, remove
from omero_adi_plugin.grid.shipped import FOLDER, RUN_ORDERS, shipped
from omero_adi_plugin.sessions import Account, Logins, OmeroSession
from tests.fixtures.administrators import add_administrator
from tests.fixtures.omero import ServerHere, running_here
from tests.fixtures.omero_client import PASSWORD, make_user
from tests.fixtures.omero_scripts import HELLO
from tests.fixtures.our_scripts import OLDER, OTHERS, RUN, Scripts
from tests.fixtures.waiting import wait_until

WITH_A_PROCESSOR = pytest.mark.parametrize("server_here", [1], indirect=True)


@pytest.fixture
def server_here(request: pytest.FixtureRequest, server_template: Path, tmp_path: Path) -> Iterator[ServerHere]:
    """A server of the test's own; without a Processor, which would run each script that is written, if none is asked for."""
    processors = getattr(request, "param", 0)
    with running_here(tmp_path / "omero", template=server_template, step_seconds=0, processors=processors) as server:
        yield server


@pytest.fixture
def session(server_here: ServerHere) -> Iterator[OmeroSession]:
    """Of root."""
    with Logins(server_here.account) as logins:
        yield logins.service()


@pytest.fixture
def scripts(server_here: ServerHere, session: OmeroSession) -> Scripts:
    return Scripts(server_here, session)


@pytest.fixture
def as_administrator(server_here: ServerHere) -> Iterator[Any]:
    """Logs in as an administrator who holds some privileges only."""
    opened: list[Logins] = []

    def log_in(*privileges: str) -> OmeroSession:
        name = add_administrator(server_here, privileges)
        account = Account(host=server_here.host, port=server_here.ssl_port, user=name, password=PASSWORD)
        opened.append(Logins(account))
        return opened[-1].service()

    yield log_in
    for logins in opened:
        logins.close()


@WITH_A_PROCESSOR
def test_what_is_missing_is_installed_beside_the_scripts_of_omero(scripts: Scripts, session: OmeroSession) -> None:
    scripts.put(*OTHERS)
    before = scripts.listed()
    assert f"{FOLDER}Populate_Metadata.py" in before, "omero-scripts has some, too"
    with pytest.raises(ScriptsMissing, match=r"does not have the script Run_Import_Orders\.py\. Run `omero adi scripts install`"):
        find(session, RUN_ORDERS)
    assert (
        standing(session, wanted=False)
        == standing(session, wanted=True)
        == (
            f"The scripts on OMERO at {session.where} are not those of version {__version__}, which runs here: "
            "Run_Import_Orders.py (missing). Run `omero adi scripts install` as an administrator; its --help says how."
        )
    )
    changes = {change.before.ours: change for change in install(session)}
    assert {script: change.done for script, change in changes.items()} == {
        **dict.fromkeys(OTHERS, Done.LEFT),
        RUN: Done.INSTALLED,
    }
    assert scripts.listed() == before | {RUN_ORDERS: find(session, RUN_ORDERS)}
    assert changes[RUN].script == find(session, RUN_ORDERS)
    assert standing(session, wanted=True) is None
    again = list(install(session))
    assert [(change.done, change.script) for change in again] == [(Done.LEFT, change.script) for change in changes.values()]
    # what was read in the text is what OMERO has read by running it
    params = scripts.service.getParams(find(session, RUN_ORDERS))
    assert (params.version, sorted(params.inputs)) == (__version__, ["Order", "Token"])


def test_all_are_installed_where_no_processor_can_look_at_them(session: OmeroSession) -> None:
    assert [change.done for change in install(session)] == [Done.INSTALLED] * len(shipped())
    assert standing(session, wanted=True) is None


def test_nothing_is_said_of_a_server_that_has_none_and_needs_none(session: OmeroSession) -> None:
    assert standing(session, wanted=False) is None
    said = standing(session, wanted=True)
    assert said is not None
    assert f"here: {', '.join(each.name for each in shipped())} (missing)." in said


def test_another_version_is_replaced_and_keeps_its_id(scripts: Scripts, session: OmeroSession) -> None:
    scripts.put(*OTHERS)
    scripts.put(RUN, text=OLDER)
    script = find(session, RUN_ORDERS)
    said = standing(session, wanted=False)
    assert said is not None
    assert "which runs here: Run_Import_Orders.py (0.0.1). Run" in said
    change = next(change for change in install(session) if change.done is not Done.LEFT)
    assert (change.before.version, change.done, change.script) == ("0.0.1", Done.REPLACED, script)
    assert find(session, RUN_ORDERS) == script
    assert scripts.service.getScriptText(script) == RUN.text
    assert len(scripts.rows(RUN)) == 1
    scripts.service.editScript(OriginalFileI(script, False), RUN.text + "# by hand\n")
    said = standing(session, wanted=False)
    assert said is not None
    assert f"Run_Import_Orders.py ({__version__}, changed there)" in said


def test_one_that_was_switched_off_is_switched_on_and_keeps_its_id(scripts: Scripts, session: OmeroSession) -> None:
    scripts.put(*shipped())
    script = find(session, RUN_ORDERS)
    scripts.switch_off(RUN)
    assert scripts.conditions()[RUN.name] is Condition.OFF
    assert [change.done for change in install(session) if change.before.ours == RUN] == [Done.REPLACED]
    assert find(session, RUN_ORDERS) == script


@WITH_A_PROCESSOR
def test_one_that_omero_cannot_read_is_named_and_replaced_later(
    scripts: Scripts, session: OmeroSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(RUN, text=f"import not_installed_there  # omero_adi_plugin\n{RUN.text}")
    with monkeypatch.context() as patched:
        patched.setattr("omero_adi_plugin.grid.catalogue.shipped", lambda: (broken,))
        with pytest.raises(ScriptNotTaken, match="switched it off: ModuleNotFoundError: No module named 'not_installed_there'"):
            list(install(session))
        assert scripts.conditions() == {RUN.name: Condition.OFF}
    [[script, _]] = scripts.rows(RUN)
    scripts.put(*OTHERS)
    list(install(session))
    assert scripts.rows(RUN) == [[script, "text/x-python"]]
    assert standing(session, wanted=True) is None


def test_two_who_install_at_once_make_one_of_each(server_here: ServerHere, scripts: Scripts, session: OmeroSession) -> None:
    scripts.put(*OTHERS)
    server_here.disturb.delay("IScript.uploadOfficialScript", times=2)
    with Logins(server_here.account) as other, ThreadPoolExecutor(2) as threads:
        installs = [threads.submit(list[Change], install(each)) for each in (session, other.service())]
        calls = server_here.server.journal.calls
        wait_until(lambda: calls["IScript.uploadOfficialScript"] == 2, what="two who have seen that it is missing")
        server_here.disturb.clear()
        changes = [change for each in installs for change in each.result() if change.before.ours == RUN]
    assert {change.script for change in changes} == {find(session, RUN_ORDERS)}
    assert sorted((change.done, change.why) for change in changes) == [
        (Done.INSTALLED, ""),
        (Done.LEFT, "Somebody else has just installed it."),
    ]
    assert len(scripts.rows(RUN)) == 1
    assert standing(session, wanted=True) is None


@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
def test_an_install_that_was_cut_off_is_run_again(
    server_here: ServerHere, scripts: Scripts, session: OmeroSession, *, after: bool
) -> None:
    scripts.put(*OTHERS)
    scripts.put(RUN, text=OLDER)
    server_here.disturb.lose_connection("IScript.editScript", after=after)
    with pytest.raises(ConnectionBroken):
        list(install(session))
    with Logins(server_here.account) as logins:
        done = [change.done for change in install(logins.service()) if change.before.ours == RUN]
        assert done == [Done.LEFT if after else Done.REPLACED]
        assert standing(logins.service(), wanted=True) is None


def test_a_script_that_was_put_there_by_hand_is_found(scripts: Scripts, session: OmeroSession) -> None:
    scripts.place(RUN).write_text(OLDER)
    assert find(session, RUN_ORDERS) == scripts.listed()[RUN_ORDERS]


def test_a_script_whose_file_was_taken_away_by_hand_is_missing_and_installed_again(
    scripts: Scripts, session: OmeroSession
) -> None:
    scripts.put(*shipped())
    scripts.place(RUN).unlink()
    assert scripts.conditions()[RUN.name] is Condition.MISSING
    scripts.put(*shipped())
    scripts.place(RUN).unlink()
    assert [change.done for change in install(session) if change.before.ours == RUN] == [Done.INSTALLED]
    assert standing(session, wanted=True) is None


def test_somebody_elses_script_by_our_name_is_left_alone(scripts: Scripts, session: OmeroSession) -> None:
    theirs, *rest = OTHERS
    scripts.put(theirs, text=HELLO)
    scripts.put(*rest)
    scripts.put(RUN, text=OLDER)
    with pytest.raises(ScriptForeign, match=rf": {theirs.name}\. They were left alone"):
        list(install(session))
    assert scripts.conditions() == {
        theirs.name: Condition.FOREIGN,
        **dict.fromkeys([each.name for each in [*rest, RUN]], Condition.SAME),
    }
    assert {change.before.ours: change.done for change in remove(session)}[theirs] is Done.LEFT
    assert scripts.service.getScriptText(find(session, theirs.path)) == HELLO


def test_what_is_removed_leaves_nothing_and_no_other_goes_with_it(scripts: Scripts, session: OmeroSession) -> None:
    before = scripts.listed()
    assert {change.done for change in remove(session)} == {Done.NOTHING}
    scripts.put(*shipped())
    scripts.switch_off(OTHERS[0])
    assert {change.done for change in remove(session)} == {Done.REMOVED}
    assert scripts.listed() == before
    for script in shipped():
        assert scripts.rows(script) == []
        assert not scripts.place(script).exists()


@WITH_A_PROCESSOR
def test_one_that_has_run_is_removed_too(server_here: ServerHere, scripts: Scripts, session: OmeroSession) -> None:
    user = make_user(server_here)
    scripts.put(RUN)
    with server_here.client(user.name, PASSWORD) as client, pytest.raises(omero.ValidationException, match="MISSING INPUT"):
        client.sf.getScriptService().runScript(find(session, RUN_ORDERS), {}, None)  # which has made a job all the same
    assert Done.REMOVED in {change.done for change in remove(session)}
    assert scripts.rows(RUN) == []


def test_one_that_omero_keeps_is_switched_off_until_it_is_installed_again(
    server_here: ServerHere, scripts: Scripts, session: OmeroSession
) -> None:
    scripts.put(*OTHERS, RUN)
    script = find(session, RUN_ORDERS)
    server_here.disturb.fail("IScript.deleteScript", exception="omero.ValidationException", call=len(shipped()))
    *_, change = remove(session)
    assert (change.before.ours, change.done) == (RUN, Done.OFF)
    assert change.why == "OMERO keeps it, because jobs name it that have run it."
    assert RUN_ORDERS not in scripts.listed()
    assert scripts.rows(RUN) == [[script, "text/plain"]]
    with pytest.raises(ScriptsMissing):
        find(session, RUN_ORDERS)
    assert standing(session, wanted=False) is None
    scripts.put(*OTHERS)
    list(install(session))
    assert find(session, RUN_ORDERS) == script
    assert standing(session, wanted=True) is None


def test_who_may_not_is_told_what_it_needs(scripts: Scripts, as_administrator: Any) -> None:
    sudoer = as_administrator("Sudo")
    refused = r"may not {0} scripts .* holds {1}\. .* OMERO_PASSWORD=\.\.\. omero adi scripts {0}`"
    with pytest.raises(NotPermitted, match=refused.format("install", "WriteScriptRepo")):
        list(install(sudoer))
    scripts.put(*OTHERS)
    scripts.put(RUN, text=OLDER)
    with pytest.raises(NotPermitted, match=refused.format("install", "WriteScriptRepo")):
        list(install(sudoer))
    with pytest.raises(NotPermitted, match=refused.format("remove", "DeleteScriptRepo and WriteScriptRepo")):
        list(remove(sudoer))
    scripts.put(RUN)
    assert {change.done for change in install(sudoer)} == {Done.LEFT}  # nothing is to be written
    writer = as_administrator("WriteScriptRepo")
    scripts.put(RUN, text=OLDER)
    assert Done.REPLACED in {change.done for change in install(writer)}
    assert {(change.done, change.why) for change in remove(writer)} == {
        (Done.OFF, f"OMERO does not let '{writer.user}' delete it: that needs {DELETING}.")
    }
    deleter = as_administrator("WriteScriptRepo", "DeleteScriptRepo")
    left = [change for change in remove(deleter) if change.done is not Done.REMOVED]
    assert [(change.before.ours, change.done) for change in left] == [
        (RUN, Done.OFF)
    ]  # OMERO has read it, in a job of somebody's
    deleter = as_administrator("WriteScriptRepo", "DeleteScriptRepo", "DeleteOwned")
    assert {change.done for change in remove(deleter)} == {Done.NOTHING, Done.REMOVED}
    assert set(scripts.conditions().values()) == {Condition.MISSING}
