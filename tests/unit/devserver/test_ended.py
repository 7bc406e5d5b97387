# SPDX-License-Identifier: GPL-2.0-or-later
"""A program is told to end by a signal, whichever of its threads gets it."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import omero_devserver
from omero_devserver.wire.ended import Ended

PROGRAM = """
import os, signal, sys, threading
from omero_devserver.wire.ended import Ended
ended = Ended()
ended.listen()
{before}
sys.exit(7 if ended.wait({seconds}) else 8)
"""
TO_ANOTHER_THREAD = "threading.Timer(0.1, lambda: signal.pthread_kill(threading.get_ident(), signal.{name})).start()"
IN_A_CHILD = """
if os.fork() == 0:  # as a child that has not reached its exec
    signal.raise_signal(signal.SIGTERM)
    os._exit(0)
os.wait()
"""


def status(before: str, seconds: float | None) -> int:
    program = PROGRAM.format(before=before, seconds=seconds)
    environment = {**os.environ, "PYTHONPATH": str(Path(omero_devserver.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program], env=environment, timeout=30, check=False
    ).returncode


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_that_another_thread_gets_wakes_the_main_thread(name: str) -> None:
    assert status(TO_ANOTHER_THREAD.format(name=name), None) == 7


def test_a_signal_before_the_wait_counts() -> None:
    assert status("signal.raise_signal(signal.SIGTERM)", None) == 7


def test_a_signal_that_a_child_gets_before_its_exec_is_the_childs() -> None:
    assert status(IN_A_CHILD, 0.2) == 8


def test_a_thread_can_say_so() -> None:
    ended = Ended()
    assert not ended.wait(0.01)
    assert not ended.event.is_set()
    threading.Timer(0.05, ended.set).start()
    assert ended.wait()
    assert ended.event.is_set()
    assert ended.wait(0)


def test_saying_so_a_hundred_thousand_times_holds_nobody_up() -> None:
    ended = Ended()
    for _ in range(100_000):  # a pipe holds 65,536 bytes
        ended.set()
    assert ended.wait()
