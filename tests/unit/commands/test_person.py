# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is on record for what a command does."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys

import pytest

from omero_adi_plugin.commands.person import who


def test_it_is_the_account_and_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert who() == f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"


def test_behind_sudo_it_is_who_called_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ann")
    assert who() == f"ann@{socket.gethostname()}"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can take on a number that has no name")
def test_an_account_without_a_name_has_a_number() -> None:
    program = "import os; from omero_adi_plugin.commands.person import who; os.setuid(61234); print(who())"
    environment = {name: value for name, value in os.environ.items() if name != "SUDO_USER"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == f"61234@{socket.gethostname()}\n"
