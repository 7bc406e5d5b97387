# SPDX-License-Identifier: GPL-2.0-or-later
"""Control: the way from OMERO's command line to ours. `omero/plugins/adi.py` calls it once a subcommand is to be run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.commands.exits import end

if TYPE_CHECKING:
    from argparse import Namespace


def run(context: Any, args: Namespace) -> None:  # noqa: ANN401 (omero.cli.Context is untyped)
    """Run the subcommand that was asked for, and tell OMERO's command line how it ended.

    Parameters
    ----------
    context : omero.cli.Context
        `ctx` of the control.
    args : Namespace
        As `parser.configure` leaves them.
    """
    ending = end(args)
    if ending.status != os.EX_OK:
        context.die(ending.status, ending.words, newline=bool(ending.words))
