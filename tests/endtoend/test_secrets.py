# SPDX-License-Identifier: GPL-2.0-or-later
"""A service whose account is an administrator with the privilege Sudo alone does everything, and shows no secret anywhere.

Secrets are the account's password, the database's, and the keys of all sessions: whoever has a key has the session.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import omero.all
import pytest
from omero.rtypes import rstring
from sqlalchemy.engine import make_url

from omero_adi_plugin.sessions import Account, Logins
from tests.fixtures.accounts import account
from tests.fixtures.administrators import add_administrator
from tests.fixtures.laboratory import Lab, make_group
from tests.fixtures.omero import ServerHere, running_here
from tests.fixtures.omero_client import PASSWORD
from tests.fixtures.samples import Samples
from tests.fixtures.services import ONCE, Services, Tracking

OMERO_PASSWORD = 'Tr0ub4dor&3 "quoted" ümläut'


@pytest.fixture
def server(server_template: Path, tmp_path: Path) -> Iterator[ServerHere]:
    with running_here(tmp_path / "omero", template=server_template, step_seconds=0) as server:
        yield server


@pytest.fixture
def omero_account(server: ServerHere) -> Account:
    """An administrator with Sudo and nothing else."""
    name = add_administrator(server, ["Sudo"])
    with server.client(name, PASSWORD) as client:
        client.sf.getAdminService().changePasswordWithOldPassword(rstring(PASSWORD), rstring(OMERO_PASSWORD))
        assert [each.value.val for each in client.sf.getAdminService().getCurrentAdminPrivileges()] == ["Sudo"]
    return Account(host=server.host, port=server.ssl_port, user=name, password=OMERO_PASSWORD)


@pytest.fixture
def database_url(empty_database_url: str) -> Iterator[str]:
    """A database that wants a password, empty as at a first start."""
    with account(empty_database_url, "GRANT CREATE, USAGE ON SCHEMA public TO {account}") as url:
        yield url


@pytest.fixture
def logins(server: ServerHere) -> Iterator[Logins]:
    """The tests' own log-in is root's: an account with Sudo alone may not make users and groups."""
    with Logins(server.account) as logins:
        yield logins


@pytest.fixture
def command_lines() -> Iterator[set[str]]:
    """The argument lists of all processes of this machine meanwhile, as everybody sees them."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.03):
            for name in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):  # ended meanwhile
                    seen.add(name.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=look, name="looking at argument lists")
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def keys_of(server: ServerHere) -> list[str]:
    """The keys of all sessions that there ever were."""
    return [key for (key,) in server.server.store.rows("SELECT c_uuid FROM t_Session")]


def everything_in(tracking: Tracking) -> str:
    tables = tracking.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return "\n".join(row for (table,) in tables for (row,) in tracking.sql(f'SELECT t::text FROM "{table}" t'))


def test_an_administrator_with_sudo_alone_is_all_that_a_service_needs(
    server: ServerHere, lab: Lab, tracking: Tracking, services: Services, samples: Samples
) -> None:
    assert services.run("db", "upgrade").returncode == os.EX_OK
    checked = services.run("check")
    assert checked.returncode == os.EX_OK, checked.stdout
    service = services.start(max_workers=1)
    files = [samples.image(), samples.three_images()]
    order = tracking.order(lab, *files)
    tracking.wait(order)
    assert tracking.stages(order)[-1] == "Import Completed", tracking.description(order)
    target = f"Dataset:{lab.dataset}"
    done = services.run("import", samples.image("here.ome.tif"), "--into", target, "--for", lab.user)
    assert done.returncode == os.EX_OK, done.stderr
    assert len(lab.images()) == 5
    owners = lab.session.query("select distinct i.details.owner.omeName, i.details.group.name from Image i")
    assert owners == [[lab.user, lab.group]]
    assert [len(lab.key_values(image)) for image in lab.images()] == [1] * 5
    services.stop(service)
    with server.client() as root:
        found = root.submit(omero.cmd.CurrentSessionsRequest()).getResponse()
        names = sorted(context.userName for context in found.contexts)
        assert names == sorted(["root", "root", lab.user]), "more is left than the tests' own"


def test_no_secret_is_shown_in_argument_lists_logs_output_or_tables(
    server: ServerHere,
    lab: Lab,
    logins: Logins,
    tracking: Tracking,
    services: Services,
    samples: Samples,
    command_lines: set[str],
    omero_account: Account,
) -> None:
    database = make_url(tracking.url)
    said = [services.run("db", "upgrade")]
    service = services.start(max_workers=1, log_level="DEBUG", failures_allowed=1, surroundings_seconds=1)
    elsewhere = make_group(logins.service().factory.getAdminService())
    server.disturb.fail("ManagedRepository.importFileset", exception="omero.SecurityViolation", call=2)
    server.disturb.lose_connection("IUpdate.saveAndReturnArray", call=2)
    orders = [
        tracking.order(lab, samples.image()),
        tracking.order(lab, samples.image("refused.ome.tif")),
        tracking.order(lab, samples.image("cut.ome.tif")),
        tracking.order(lab, samples.broken()),
        tracking.order(lab, samples.image(), user_name="nobody"),
        tracking.order(lab, samples.image(), user_name="guest"),
        tracking.order(lab, samples.image(), group_name=elsewhere),
    ]
    tracking.wait(*orders)
    for session in server.server.sessions.all():
        if server.server.store.people.user_name(session.user) == omero_account.user:
            server.server.sessions.end(session)  # the worker's own is lost
    tracking.wait(tracking.order(lab, samples.image("after.ome.tif")))
    target = ("--into", f"Dataset:{lab.dataset}", "--for", lab.user)
    said += [
        services.run("check"),
        services.run("config", "show"),
        services.run("import", samples.image("here.ome.tif"), *target),
        services.run("import", samples.broken("half.tif"), *target),
        services.run("orders", "show", orders[0]),
    ]
    services.stop(service)
    settings = services.config.read_text()
    services.config.write_text(settings.replace(f"omero_user: {omero_account.user}", "omero_user: root"))
    said += [services.run("check"), services.run("import", samples.image("x.ome.tif"), *target)]
    services.config.write_text(settings.replace(str(database.username), "nobody-there"))
    said += [services.run("check"), services.run(*ONCE)]
    assert [each.returncode for each in said] == [0, 0, 0, 0, 65, 0, 78, 78, 69, 69]

    keys = keys_of(server)
    assert len(keys) > len(orders)
    assert any("omero_adi_plugin" in line for line in command_lines)
    shown = {
        "argument lists": "\n".join(command_lines),
        "output": "\n".join(each.stdout + each.stderr for each in said),
        "tables": everything_in(tracking),
        **{file.name: file.read_text() for file in services.folder.glob("*.*") if file.is_file() and file != services.config},
    }
    assert {"app.logs", "serve.err", f"cli.{orders[0]}.logs"} <= set(shown)
    secrets = [OMERO_PASSWORD, str(database.password), quote(str(database.password), safe=""), *keys]
    assert [(where, secret) for where, words in shown.items() for secret in secrets if secret in words] == []
