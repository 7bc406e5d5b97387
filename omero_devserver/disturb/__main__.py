# SPDX-License-Identifier: GPL-2.0-or-later
"""Command line: `python -m omero_devserver.disturb --data FOLDER COMMAND …` disturbs a running development server."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omero_devserver.disturb.control import COMMANDS, Control, Refused
from omero_devserver.disturb.disturbances import Disturbances
from omero_devserver.disturb.occasion import MOMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Send one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    values = [_value(one) for one in options.arguments if "=" not in one]
    named = {name: _value(text) for name, _, text in (one.partition("=") for one in options.arguments if "=" in one)}
    try:
        done = Control(options.data).do(options.command, *values, **named)
    except Refused as refusal:
        sys.stderr.write(f"{options.command}: {refusal}\n")
        return os.EX_USAGE
    except OSError as error:
        sys.stderr.write(f"No server with --control runs on '{options.data}': {error.strerror}.\n")
        return os.EX_UNAVAILABLE
    if done is not None:
        sys.stdout.write(f"{done}\n")
    return os.EX_OK


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _parser() -> argparse.ArgumentParser:
    described = "\n".join(
        f"  {name:17} {(inspect.getdoc(getattr(Disturbances, name)) or '').splitlines()[0]}" for name in COMMANDS
    )
    parser = argparse.ArgumentParser(
        prog="python -m omero_devserver.disturb",
        description="Disturb a development server that was started with --control.",
        epilog=f"""\
commands:
{described}

WHERE, the first argument of the first five, is an operation, as IUpdate.saveAndReturnObject, or one of:
  {" ".join(MOMENTS)}
Others are named: call=2 (the second passing from now on), times=3 (or null: always), after=true (when an operation took
effect), exception=omero.SecurityViolation, message=TEXT, seconds=1.5.

    python -m omero_devserver.disturb --data /tmp/omero fail IUpdate.saveObject call=2 exception=omero.OptimisticLockException
    python -m omero_devserver.disturb --data /tmp/omero kill import.step.1.in""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="the server's data folder")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="what to do (below)")
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="by place, or NAME=VALUE")
    return parser


if __name__ == "__main__":
    sys.exit(main())
