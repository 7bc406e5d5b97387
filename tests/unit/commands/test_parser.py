# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: every command teaches, wrong usage is 64, and nothing heavy is loaded before a command runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import ArgumentParser, _SubParsersAction
from typing import TYPE_CHECKING

import pytest

from omero_adi_plugin.commands.parser import configure
from omero_adi_plugin.commands.parsing.subcommands import with_our_status

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

HEAVY = {
    "sqlalchemy",
    "alembic",
    "psycopg2",
    "pydantic",
    "pydantic_settings",
    "rich",
    "numpy",
    "tifffile",
    "ezomero",
    "yaml",
    "omero",
}


def parser() -> ArgumentParser:
    made = with_our_status(ArgumentParser)(prog="adi")
    configure(made, lambda _: None)
    return made


def commands(above: ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], ArgumentParser]]:
    below = [action for action in above._actions if isinstance(action, _SubParsersAction)]
    for action in below:
        for word, child in action.choices.items():
            yield (*words, word), child
            yield from commands(child, (*words, word))


def ends(child: ArgumentParser) -> bool:
    return not any(isinstance(action, _SubParsersAction) for action in child._actions)


ALL = dict(commands(parser()))
DOING = {words: child for words, child in ALL.items() if ends(child)}


def test_these_are_the_commands() -> None:
    assert {" ".join(words) for words in DOING} == {
        "serve",
        "import",
        "convert",
        "orders list",
        "orders show",
        "orders wait",
        "orders retry",
        "orders cancel",
        "orders undo",
        "status",
        "pause",
        "resume",
        "check",
        "verify",
        "config show",
        "config check",
        "db upgrade",
        "db current",
        "db stamp",
        "db detach",
        "scripts install",
        "scripts status",
        "scripts remove",
        "demo",
    }


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_teaches(words: tuple[str, ...]) -> None:
    child = ALL[words]
    assert f"omero adi {words[0]}" in (child.epilog or "")
    assert "Example" in (child.epilog or "")
    assert all(action.help for action in child._actions if not isinstance(action, _SubParsersAction))
    assert child.format_help()


@pytest.mark.parametrize("words", DOING, ids=" ".join)
def test_every_command_takes_a_settings_file(words: tuple[str, ...]) -> None:
    if words == ("demo",):  # it writes its own
        return
    assert "--config" in ALL[words]._option_string_actions


def parsed(*words: str) -> Namespace:
    return parser().parse_args(words)


def test_arguments_arrive() -> None:
    args = parsed("import", "a.tif", "b.tif", "--into", "Dataset:1", "--for", "u", "--in-group", "g", "--queue", "--json")
    assert (args.adi_module, args.paths, args.into, args.for_user, args.in_group, args.queue, args.wait, args.as_json) == (
        "imports",
        ["a.tif", "b.tif"],
        "Dataset:1",
        "u",
        "g",
        True,
        False,
        True,
    )
    args = parsed("import", "a.tif", "--into", "Dataset:1", "--queue", "--priority", "-5")
    assert args.priority == -5
    args = parsed("import", "a.tif", "--into", "Dataset:1", "--container", "lab/c:1", "--param", "a=b", "--param", "c=")
    assert (args.container, args.parameters) == ("lab/c:1", ["a=b", "c="])
    args = parsed("convert", "a.lif", "--container", "lab/c:1", "--keep", "made", "--json")
    assert (args.adi_module, args.path, args.container, args.parameters, args.keep) == (
        "convert",
        "a.lif",
        "lab/c:1",
        None,
        "made",
    )
    args = parsed("orders", "wait", "u-1", "--timeout", "2.5", "--config", "f.yml")
    assert (args.adi_module, args.adi_action, args.uuid, args.timeout, args.config) == ("orders", "wait", "u-1", 2.5, "f.yml")


WRONG = [
    [],
    ["nonsense"],
    ["import"],
    ["import", "x"],
    ["import", "x", "--into", "Dataset:1", "--queue", "--wait"],
    ["convert", "x"],
    ["convert", "x", "y", "--container", "lab/c:1"],
    ["orders"],
    ["orders", "list", "--state", "odd"],
    ["import", "x", "--into", "Dataset:1", "--queue", "--priority", "high"],
    ["orders", "list", "--limit", "many"],
    ["orders", "show"],
    ["db"],
    ["scripts"],
    ["serve", "--bogus"],
    ["demo", "--keep", "--stop"],
]


@pytest.mark.parametrize("words", WRONG, ids=lambda words: " ".join(words) or "nothing")
def test_wrong_usage_is_64(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(words)
    assert ended.value.code == os.EX_USAGE
    assert "usage:" in capsys.readouterr().err


def omero(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `omero …`; the script of that name refuses root, the function behind it does not."""
    program = "import sys; from omero.cli import argv; sys.exit(argv(['omero', *sys.argv[1:]]))"
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "words", [["nonsense"], ["import"], ["serve", "--bogus"], ["orders", "list", "--limit", "many"]], ids=" ".join
)
def test_wrong_usage_is_64_through_omero_too(words: list[str]) -> None:
    done = omero("adi", *words)
    assert done.returncode == os.EX_USAGE
    assert "Traceback" not in done.stderr


def test_help_through_omero_shows_every_command() -> None:
    done = omero("adi", "--help")
    assert done.returncode == os.EX_OK
    for word in ("serve", "import", "orders", "db", "demo"):
        assert word in done.stdout


def test_an_error_through_omero_is_a_status_and_a_sentence() -> None:
    done = omero("adi", "db", "current", "--config", "/no/such/file.yml")
    assert done.returncode == os.EX_CONFIG
    assert done.stderr == "The settings file '/no/such/file.yml' does not exist. Correct --config or ADI_CONFIG.\n"


def test_nothing_heavy_is_loaded_to_know_the_commands() -> None:
    modules = "omero_adi_plugin.commands.parser, omero_adi_plugin.commands.control"
    program = f"import json, sys, {modules}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not HEAVY & {name.partition(".")[0] for name in json.loads(done.stdout)}
