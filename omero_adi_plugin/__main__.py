# SPDX-License-Identifier: GPL-2.0-or-later
"""The command without OMERO's: `python -m omero_adi_plugin …` is `omero adi …`, and also runs as root."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import TYPE_CHECKING

from omero_adi_plugin.commands.exits import end
from omero_adi_plugin.commands.parser import HELP, configure
from omero_adi_plugin.commands.parsing.subcommands import with_our_status

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import NoReturn


def main() -> NoReturn:
    """Run the subcommand on the command line and exit with its status."""
    parser = with_our_status(ArgumentParser)(prog="python -m omero_adi_plugin", description=f"{HELP}.")
    configure(parser, _run)
    args = parser.parse_args()
    args.func(args)
    sys.exit(0)


def _run(args: Namespace) -> None:
    ending = end(args)
    if ending.words:
        sys.stderr.write(f"{ending.words}\n")
    sys.exit(ending.status)


if __name__ == "__main__":
    main()
