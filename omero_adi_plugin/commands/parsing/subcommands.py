# SPDX-License-Identifier: GPL-2.0-or-later
"""Subcommands: what all parsers have in common, whatever they are for."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable


class Subcommands:
    """The subcommands below one parser."""

    def __init__(self, parser: ArgumentParser, *, run: Callable[[Namespace], None], kind: type[ArgumentParser]) -> None:
        self._run, self._kind = run, kind
        self._choices: Any = parser.add_subparsers(
            title="Subcommands", metavar="<subcommand>", dest="adi_action", parser_class=kind
        )
        self._choices.required = True

    def group(self, name: str, *, help_: str, epilog: str) -> Subcommands:
        """Add a subcommand that has subcommands itself."""
        return Subcommands(self._parser(name, help_, epilog), run=self._run, kind=self._kind)

    def add(self, name: str, module: str, *, help_: str, epilog: str, config: bool = True, facts: bool = False) -> ArgumentParser:
        """Add a subcommand that does something; `facts`: it prints some, and has --json."""
        parser = self._parser(name, help_, epilog)
        if config:
            parser.add_argument("--config", metavar="FILE", help="settings file (default: ADI_CONFIG, then config/settings.yml)")
            parser.add_argument(
                "--set", dest="given", action="append", metavar="KEY=VALUE", help="a setting for this run; may be repeated"
            )
        if facts:
            parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON, for programs")
        parser.set_defaults(func=self._run, adi_module=module)
        return parser

    def _parser(self, name: str, help_: str, epilog: str) -> ArgumentParser:
        parser: ArgumentParser = self._choices.add_parser(
            name,
            help=help_,
            description=help_[0].upper() + help_[1:] + ".",
            epilog=epilog,
            formatter_class=RawDescriptionHelpFormatter,
        )
        return parser


def with_our_status(kind: type[ArgumentParser]) -> type[ArgumentParser]:
    """Return a class of parsers like `kind` that ends with status 64 for wrong usage (EX_USAGE of sysexits.h), not with 2."""

    class UsageParser(kind):  # type: ignore[misc, valid-type]  # the base is OMERO's parser or the standard library's
        def error(self, message: str) -> NoReturn:
            self.print_usage(sys.stderr)
            sys.stderr.write(f"{self.prog}: {message}\n")
            sys.exit(os.EX_USAGE)

    return UsageParser
