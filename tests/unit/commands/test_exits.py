# SPDX-License-Identifier: GPL-2.0-or-later
"""How commands end: a status and one sentence for each error, and nothing raised."""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
import textwrap
from argparse import Namespace
from typing import TYPE_CHECKING, Any

import pytest

from omero_adi_plugin import errors
from omero_adi_plugin.commands.exits import EXIT_CODES, end, exit_code
from omero_adi_plugin.errors import AdiError

if TYPE_CHECKING:
    from pathlib import Path

BRANCHES = {
    errors.UsageError: 64,
    errors.OrderFailed: 65,
    errors.SurroundingsDown: 69,
    errors.TryAgain: 75,
    errors.LeaseLost: 75,
    errors.SessionOver: 75,
    errors.NotPermitted: 77,
    errors.ConfigurationError: 78,
}


def every_error() -> list[type[AdiError]]:
    def below(kind: type[AdiError]) -> list[type[AdiError]]:
        return [kind, *(each for child in kind.__subclasses__() for each in below(child))]

    return [kind for kind in below(AdiError) if kind is not AdiError and kind.__module__.startswith(f"{errors.__name__}.")]


def made(kind: type[AdiError]) -> AdiError:
    """Make an error with a value for each of its arguments; those without a constructor of their own take a sentence."""
    if kind.__init__ is Exception.__init__:
        return kind("A sentence.")
    arguments: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            arguments[name] = 7 if parameter.annotation in {"int", "float"} else "x"
    return kind(**arguments)


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_has_the_status_of_its_branch(kind: type[AdiError]) -> None:
    expected = next(status for branch, status in BRANCHES.items() if issubclass(kind, branch))
    assert exit_code(made(kind)) == expected


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_travels_between_processes(kind: type[AdiError]) -> None:
    error = made(kind)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (our own bytes)
    assert (type(again), str(again), again.__dict__) == (kind, str(error), error.__dict__)


def test_the_table_holds_every_branch() -> None:
    assert EXIT_CODES == BRANCHES


def as_a_shell_sees_it(body: str, tmp_path: Path, *, after: str = "") -> subprocess.CompletedProcess[str]:
    """Run a subcommand, whose work `body` is, through the very function that ends all of them."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import sys, types
            from argparse import Namespace
            from omero_adi_plugin import errors
            from omero_adi_plugin.__main__ import _run
            def work(args):
                {body}
            module = types.ModuleType("omero_adi_plugin.commands.probe")
            module.run = work
            sys.modules[module.__name__] = module
            _run(Namespace(adi_module="probe"))
            """
        )
    )
    command = f'"{sys.executable}" "{program}"{after}'
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        ("errors.UsageError('Wrong.')", 64),
        ("errors.FileMissing(path='/x')", 65),
        ("errors.OmeroDown(where='here', why='dark')", 69),
        ("errors.ConnectionBroken(doing='talking')", 75),
        ("errors.LeaseLost(uuid='u')", 75),
        ("errors.NotPermitted('No.')", 77),
        ("errors.ConfigurationError('Odd.')", 78),
    ],
)
def test_a_shell_sees_the_status_and_one_sentence(raised: str, status: int, tmp_path: Path) -> None:
    done = as_a_shell_sees_it(f"raise {raised}", tmp_path)
    assert done.returncode == status
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_done_is_0_and_says_nothing(tmp_path: Path) -> None:
    done = as_a_shell_sees_it("pass", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (os.EX_OK, "", "")


def test_a_bug_shows_its_traceback(tmp_path: Path) -> None:
    done = as_a_shell_sees_it("{}['nothing']", tmp_path)
    assert done.returncode == os.EX_SOFTWARE
    assert "KeyError: 'nothing'" in done.stderr


def test_control_c_is_quiet(tmp_path: Path) -> None:
    done = as_a_shell_sees_it("raise KeyboardInterrupt", tmp_path)
    assert (done.returncode, done.stderr) == (130, "")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    body = "[print('line', flush=True) for _ in range(100_000)]"
    done = as_a_shell_sees_it(body, tmp_path, after=" | head -1; exit ${PIPESTATUS[0]}")
    assert (done.returncode, done.stdout, done.stderr) == (141, "line\n", "")


def test_a_namespace_without_a_module_is_a_bug_not_a_crash() -> None:
    assert end(Namespace(adi_module="no_such_module")).status == os.EX_SOFTWARE
