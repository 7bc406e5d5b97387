# SPDX-License-Identifier: GPL-2.0-or-later
"""A service that was asked to end does so, in programs of their own: the last way out ends the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fixtures.waiting import WAIT_SECONDS

PROGRAM = """
import threading
from omero_adi_plugin.service import ending

def hangs():
    threading.Event().wait()

def farewell():
    print("killed", flush=True)
    return {say}

ending.FAREWELL_SECONDS = 0.1
end = ending.Ending(asked=lambda: print("asked", flush=True), farewell=farewell, seconds={seconds})
for _ in range({times}):
    end.ask()
print("waits", flush=True)
hangs()
"""


@pytest.mark.parametrize("say", ["hangs", "lambda: None", "lambda: 1 / 0"])
@pytest.mark.parametrize(
    ("times", "seconds", "said"),
    [(2, 3600, ["asked", "killed"]), (1, 0.2, ["asked", "waits", "killed"])],
    ids=["it is asked twice", "its main thread hangs"],
)
def test_it_ends_without_its_main_thread_whatever_the_database_does(
    say: str, times: int, seconds: float, said: list[str]
) -> None:
    program = PROGRAM.format(say=say, times=times, seconds=seconds)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    assert done.stdout.split() == said
    assert done.returncode == 0


def test_a_further_request_changes_nothing() -> None:
    program = (
        PROGRAM.format(say="hangs", times=1, seconds=3600)
        .replace("0.1", "1.0")
        .replace("end.ask()\n", "end.ask()\nfor _ in range(4):\n    threading.Thread(target=end.ask).start()\n")
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT_SECONDS, check=False)
    assert done.stdout.split().count("killed") == 1
    assert done.returncode == 0
