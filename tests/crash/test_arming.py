# SPDX-License-Identifier: GPL-2.0-or-later
"""How a crash point is armed, and what it does then; where no variable is set, nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from omero_adi_plugin import crashpoints
from omero_adi_plugin.crashpoints import VARIABLE, Point, Trap, armed, reached
from omero_adi_plugin.errors import ConfigurationError
from tests.fixtures.services import ONCE, Services, clean
from tests.fixtures.waiting import WAIT_SECONDS

TWO_THREADS = """
    import sys, threading, time
    from pathlib import Path
    from omero_adi_plugin import crashpoints

    def pass_by():
        crashpoints.reached(crashpoints.Point.VERIFY_DUE)
        Path(sys.argv[1]).touch()

    crashpoints.event = lambda *_, **__: time.sleep(0.5)  # a log that is slow to write
    threads = [threading.Thread(target=pass_by) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def run(services: Services, variable: str) -> subprocess.CompletedProcess[str]:
    """Run `serve --once` with the variable set."""
    environment = clean() | {VARIABLE: variable}
    command = services.command(*ONCE)
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=WAIT_SECONDS, env=environment)


def test_whoever_comes_by_first_dies_and_the_next_one_does_not(services: Services, tmp_path: Path) -> None:
    variable = f"{Point.TABLES_READY}:{tmp_path / 'flag'}"
    assert run(services, variable).returncode == -signal.SIGKILL
    log = services.log.read_text()
    assert f"level=warning event=crash.armed pid={(tmp_path / 'flag').read_text().strip()} point=service.tables_ready" in log
    assert "event=crash.point_reached" in log
    assert run(services, variable).returncode == os.EX_OK


def test_no_other_thread_gets_beyond_the_point_while_the_first_one_dies(tmp_path: Path) -> None:
    environment = clean() | {VARIABLE: f"{Point.VERIFY_DUE}:{tmp_path / 'flag'}"}
    command = [sys.executable, "-c", textwrap.dedent(TWO_THREADS), str(tmp_path / "beyond")]
    assert subprocess.run(command, check=False, env=environment).returncode == -signal.SIGKILL
    assert not (tmp_path / "beyond").exists()


def test_a_service_does_not_start_with_a_point_that_there_is_not(services: Services, tmp_path: Path) -> None:
    done = run(services, f"service.tables_redy:{tmp_path / 'flag'}")
    assert done.returncode == os.EX_CONFIG
    assert VARIABLE in done.stderr
    assert "service.tables_redy" in done.stderr


@pytest.mark.parametrize("said", ["order.claimed", "order.claimed:flag", "order.claimed:x:/flag", "order.claimed:/no/such/flag"])
def test_nonsense_is_told(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crashpoints, "_SET", said)
    with pytest.raises(ConfigurationError, match="Unset it"):
        reached(Point.ORDER_CLAIMED)


def test_it_can_be_said_at_which_passing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(crashpoints, "_SET", f"order.claimed:3:{tmp_path / 'flag'}")
    assert armed() == Trap(point=Point.ORDER_CLAIMED, passing=3, file=tmp_path / "flag")
    for _ in range(2):
        reached(Point.ORDER_CLAIMED)
    assert not (tmp_path / "flag").exists()
