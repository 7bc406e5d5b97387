# SPDX-License-Identifier: GPL-2.0-or-later
"""The page on the service account: what it tells an administrator to do makes an account that can act for others, and no more."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from omero_adi_plugin.sessions import Logins
from tests.fixtures.omero import ServerHere
from tests.fixtures.pages import examples

ARGV = "import sys; from omero.cli import argv; sys.exit(argv(['omero', *sys.argv[1:]]))"  # the script itself refuses root
PASSWORD = "a long one"


def test_the_account_that_the_page_makes_holds_sudo_alone_and_acts_for_others(server_here: ServerHere, tmp_path: Path) -> None:
    server_here.add_group("lab")
    server_here.add_user("ada", "secret", ["lab"])
    shell, python = (example.text for example in examples("service-account.md"))
    login = ["-s", server_here.host, "-p", str(server_here.ssl_port), "-u", "root", "-w", server_here.root_password]
    environment = {**os.environ, **dict.fromkeys(("OMERO_USERDIR", "OMERO_SESSIONDIR", "OMERO_TMPDIR"), str(tmp_path))}
    words = [*shell.split()[1:], *login, "--userpassword", PASSWORD]  # the page lets the command ask for it
    subprocess.run([sys.executable, "-W", "ignore", "-c", ARGV, *words], env=environment, check=True, timeout=60)
    program = python.replace('"localhost", 4064', f'"{server_here.host}", {server_here.ssl_port}')
    program = program.replace('getpass.getpass("Password of root: ")', repr(server_here.root_password))
    said = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout == "['Sudo']\n"
    with Logins(replace(server_here.account, user="import-service", password=PASSWORD)) as logins:
        with logins.act_for("ada", "lab") as session:
            assert (session.user, session.group) == ("ada", "lab")
        privileges = logins.service().factory.getAdminService().getCurrentAdminPrivileges()
        assert [privilege.value.val for privilege in privileges] == ["Sudo"]
