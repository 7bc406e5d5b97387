# SPDX-License-Identifier: GPL-2.0-or-later
"""Exits: how a command ends. Each error becomes a status of sysexits.h and one sentence, here and nowhere else.

A shell sees `status % 256`; all of ours are below.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import (
    AdiError,
    ConfigurationError,
    LeaseLost,
    NotPermitted,
    OrderFailed,
    SessionOver,
    SurroundingsDown,
    TryAgain,
    UsageError,
)

if TYPE_CHECKING:
    from argparse import Namespace

EXIT_CODES: dict[type[AdiError], int] = {
    UsageError: os.EX_USAGE,  # 64
    OrderFailed: os.EX_DATAERR,  # 65
    SurroundingsDown: os.EX_UNAVAILABLE,  # 69
    TryAgain: os.EX_TEMPFAIL,  # 75
    LeaseLost: os.EX_TEMPFAIL,  # 75: another worker carries the order out now
    SessionOver: os.EX_TEMPFAIL,  # 75: another script will
    NotPermitted: os.EX_NOPERM,  # 77
    ConfigurationError: os.EX_CONFIG,  # 78
}

INTERRUPTED = 128 + signal.SIGINT
"""What a shell reports for a program that Ctrl-C ended."""

NOBODY_READS = 128 + signal.SIGPIPE
"""What a shell reports for a program whose reader went away, as in `… | head`."""

BUG = "This is a fault of the program, not of yours. Please report it with the lines above."


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a command ended: the status, and what is to be said on stderr ('' for nothing)."""

    status: int
    words: str = ""


def exit_code(error: AdiError) -> int:
    """Return the status for an error: that of the nearest class above it that has one; a bug's (70) if none has."""
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), os.EX_SOFTWARE)


def end(args: Namespace) -> Ending:
    """Run the subcommand that was asked for, and return how it ended. Never raises.

    Parameters
    ----------
    args : Namespace
        As `parser.configure` leaves them.
    """
    try:
        importlib.import_module(f"omero_adi_plugin.commands.{args.adi_module}").run(args)
        sys.stdout.flush()
    except AdiError as error:
        return Ending(status=exit_code(error), words=str(error))
    except KeyboardInterrupt:
        return Ending(status=INTERRUPTED)
    except BrokenPipeError:
        # The interpreter flushes stdout once more at its end, which would fail again, and loudly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Ending(status=NOBODY_READS)
    except Exception:  # noqa: BLE001 (whatever else comes is a bug, and is shown as one)
        traceback.print_exc()
        return Ending(status=os.EX_SOFTWARE, words=BUG)
    return Ending(status=os.EX_OK)
