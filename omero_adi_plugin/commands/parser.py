# SPDX-License-Identifier: GPL-2.0-or-later
"""Parser: all subcommands. What each takes, and its help, stands in `parsing`.

OMERO runs this for every `omero` command, whichever it is: so nothing heavy is imported here, and the module that does a
subcommand's work, `omero_adi_plugin.commands.<module>`, is imported when it is run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.commands.parsing import converting, installing, ordering, running
from omero_adi_plugin.commands.parsing.subcommands import Subcommands, with_our_status

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

HELP = "Automated data import: order imports, carry them out, see what became of them"

EXIT_STATUS = """\
Exit status: 0 done, 64 wrong usage, 65 an order failed, 69 OMERO or the database is not there, 70 a bug,
75 try again later, 77 not permitted, 78 a setting is wrong."""


def configure(parser: ArgumentParser, run: Callable[[Namespace], None]) -> None:
    """Give a parser our subcommands.

    Parameters
    ----------
    parser : ArgumentParser
        Of the standard library, or the one of the same shape that OMERO's command line brings along.
    run : callable
        Called with the parsed arguments. `args.adi_module` names the module below `omero_adi_plugin.commands` whose `run` does
        the work, and `args.adi_action` says what it is to do.
    """
    parser.epilog = EXIT_STATUS
    kind = with_our_status(type(parser))
    # Only this one instance was made by somebody else; the parsers below it are of our own class.
    vars(parser)["error"] = kind.error.__get__(parser)
    subcommands = Subcommands(parser, run=run, kind=kind)
    for family in (ordering, converting, running, installing):
        family.configure(subcommands)
