# SPDX-License-Identifier: GPL-2.0-or-later
"""Parser: all subcommands, their arguments and their help.

OMERO runs this for every `omero` command, whichever it is: so nothing heavy is imported here, and the module that does a
subcommand's work, `omero_adi_plugin.commands.<module>`, is imported when it is run.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import TYPE_CHECKING, Any, NoReturn

from omero_adi_plugin.stages import OrderState

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

HELP = "Automated data import: order imports, carry them out, see what became of them"

DEFAULT_LIMIT = 25
"""How many orders are listed without --limit."""

EXIT_STATUS = """\
Exit status: 0 done, 64 wrong usage, 65 an order failed, 69 OMERO or the database is not there, 70 a bug,
75 try again later, 77 not permitted, 78 a setting is wrong."""

SERVE = """\
Examples:
  omero adi serve                          carry out orders until told to end (SIGTERM or Ctrl-C)
  omero adi serve --once                   do what is waiting, then end
  omero adi serve --config /etc/adi.yml

Any number of services, on any number of hosts, can run on one database. SIGTERM or Ctrl-C: no new orders, those that run may
finish for `shutdown_timeout` seconds and are given back then; a second time: at once.

Exit status: 0 ended as asked or, with --once, nothing is left to do; 78 a setting is wrong. With --once also 69 if OMERO or the
database is not there, and 75 if all imports are paused; without it the service waits for them. What became of each order is told
by `omero adi orders list`: that an order failed is no failure of the service."""

IMPORT = """\
Examples:
  omero adi import day1.ome.tif --into Dataset:151
  omero adi import *.ome.tif --into Dataset:151 --for researcher --in-group demo-lab
  omero adi import big.ome.tif --into Dataset:151 --queue
  omero adi import big.ome.tif --into Dataset:151 --wait
  omero adi import /data/lab/day1 --into Dataset:151 --dry-run
  omero adi import plate.xdce --into Screen:12 --skip-existing
  omero adi import urgent.ome.tif --into Dataset:151 --wait --priority 10

A folder is searched 10 levels deep. Files are imported in place: OMERO holds links to them, so they must stay where they are.
Without --queue and --wait the order is carried out here, in this process; when as many filesets as OMERO.server is to import at
the same time are being imported, it waits for one to be in. Ctrl-C leaves what is missing to a service. Orders of a higher
--priority are begun first, whosever they are; -100 to 100, and 0 for all that say nothing."""

ORDERS = """\
Examples:
  omero adi orders list --state failed
  omero adi orders show 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69
  omero adi orders wait 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69 --timeout 600
  omero adi orders retry 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69
  omero adi orders cancel 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69
  omero adi orders undo 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69"""

ORDERS_LIST = """\
Examples:
  omero adi orders list
  omero adi orders list --state running --for researcher
  omero adi orders list --state failed --limit 100 --json"""

ORDERS_SHOW = """\
Examples:
  omero adi orders show 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69
  omero adi orders show 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69 --json

Says where the order stands and what to do, who tried when and how that ended, and what became of each file. Of an order with many
files those that failed or are not done come first; --json has all of them."""

ORDERS_WAIT = """\
Examples:
  omero adi orders wait 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69
  omero adi orders wait 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69 --timeout 600

Exit status: 0 completed, 65 failed, 75 the time is over and the order goes on."""

ORDERS_RETRY = """\
Examples:
  omero adi orders retry 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69
  omero adi orders retry 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69 --again

What is in OMERO is not imported a second time. An order that waits for its next attempt gets it at once. One that is being
carried out, or called off, has to come to its end first (status 75)."""

ORDERS_CANCEL = """\
Example:
  omero adi orders cancel 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69

One that waits for its first attempt is cancelled at once. One that is being carried out is called off by whoever does so: what is
just being imported is finished first, and nothing is left half done. One that waits for another attempt gets it at once, to
remove what is half imported, and ends. What was imported stays in OMERO. The producer reads `Import Failed`, with who cancelled
it and when."""

ORDERS_UNDO = """\
Examples:
  omero adi orders undo 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69 --dry-run
  omero adi orders undo 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69
  omero adi orders undo 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69 --yes

Removes from OMERO what the order has imported, with all that people have added to it since; the files it was imported from stay.
On a terminal it shows what that is and asks first. It is done as the order's user. The order must have ended: call off one that
has not. What was removed is imported again when the order is: `omero adi orders retry`. When it was interrupted, run it again.

Exit status: 0 all of it is removed, or nothing was to be; 64 nobody has said yes; 75 the order has not ended, OMERO refuses
something, or the connection broke; 77 it is not the order's user's any more."""

PAUSE = """\
Examples:
  omero adi pause                          begin no further order, on any host; what is being imported goes on
  omero adi pause --drain                  ... and give back what runs, and wait until nothing is being imported any more
  omero adi pause --drain && omero admin stop

With --drain orders that are being carried out are given back as soon as the filesets that are just being imported are in; later
they go on where they were. Orders that arrive meanwhile wait. `omero adi resume` lets all of them go on; a restart of a service
does not."""

RESUME = """\
Example:
  omero adi resume"""

STATUS = """\
Examples:
  omero adi status
  omero adi status --json

Shows the services on all hosts with what each of their workers does, what else carries out orders, how many orders wait and for
what, and what has ended in the last day. Exit status: 0, whatever it shows; `omero adi check` looks for faults."""

CHECK = """\
Examples:
  omero adi check
  omero adi check --json

Looks at: the tables and the trigger in the database, orders that are pending for too long, another importer on the same
database, rows that cannot be taken in, services, OMERO. Exit status: 0 all is well, 78 there is something to see to."""

VERIFY = """\
Examples:
  omero adi verify                         all orders that have ended
  omero adi verify 4f1c09aa-5a35-4f04-9f0a-1f2d3c4b5a69
  omero adi verify --json

Compares what orders have imported with what is there now, and changes nothing: filesets, images and key-values in OMERO, and for
each file the link in the managed repository, where it leads, and the size there. To be run where the service runs, as the account
that runs OMERO.server. What people did on purpose, moving images say, is told as a note. Orders that have not ended are left out;
those that ended more than `keep_days` days ago are not remembered any more.

Exit status: 0 nothing is wrong, 65 something is, 69 OMERO, the database or the storage is not there, 75 the connection broke,
78 the managed repository is not to be seen here."""

CONFIG = """\
Examples:
  omero adi config show
  omero adi config check /etc/adi.yml"""

CONFIG_SHOW = """\
Examples:
  omero adi config show
  omero adi config show --config /etc/adi.yml --set max_workers=8
  omero adi config show --json

Prints each setting with its value, where that comes from, its default and what it is for. Secrets are not shown."""

CONFIG_CHECK = """\
Examples:
  omero adi config check                   the settings that a command run here would use
  omero adi config check /etc/adi.yml      one file, whatever the environment says

Names everything that is wrong, with the line. Exit status: 0 nothing is, 78 something is."""

DB = """\
Examples:
  omero adi db current
  omero adi db upgrade
  omero adi db detach"""

DB_CURRENT = """\
Example:
  omero adi db current --json"""

DB_UPGRADE = """\
Example:
  omero adi db upgrade --config /etc/adi.yml

A service does this when it starts, unless ADI_RUN_MIGRATIONS=0."""

DB_STAMP = """\
Examples:
  omero adi db stamp
  omero adi db stamp --revision 78d3d6d84aec

Says which revision the shared tables have when they came without a version table: the one that they look like, or the one that
you name. Changes nothing else. `db upgrade` does it by itself when the tables look like a known revision."""

DB_DETACH = """\
Example:
  omero adi db detach

Takes the trigger and all tables of our own off the database, so that the former importer can have it back; the shared tables
stay as they are. Stop all services first. Orders that wait stay pending; one that has already brought something into OMERO is
failed with a sentence, because the former importer would import it twice."""

DEMO = """\
Examples:
  omero adi demo                           show everything, then end everything
  omero adi demo --keep                    leave it running, to try things by hand:
  . .demo/env                              ... after which every command works
  omero adi demo --stop                    end it

All of it lies below .demo in this folder, and answers on this machine only."""


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
    subcommands = _Subcommands(parser, run=run, kind=kind)

    serve = subcommands.add("serve", "serve", help_="carry out orders: the service", epilog=SERVE)
    serve.add_argument("--once", action="store_true", help="end when every order is done")

    _configure_import(subcommands.add("import", "imports", help_="order an import", epilog=IMPORT, facts=True))
    _configure_orders(subcommands.group("orders", help_="see what became of orders; order again, call off", epilog=ORDERS))

    subcommands.add("status", "status", help_="show services, workers and the queue", epilog=STATUS, facts=True)
    pause = subcommands.add("pause", "pausing", help_="begin no further order, on any host", epilog=PAUSE, facts=True)
    pause.add_argument(
        "--drain", action="store_true", help="give back what runs, and wait until nothing is being imported any more"
    )
    subcommands.add("resume", "pausing", help_="let paused imports go on", epilog=RESUME, facts=True)
    subcommands.add("check", "check", help_="look for what an administrator must see to", epilog=CHECK, facts=True)

    verify = subcommands.add("verify", "verify", help_="look whether what was imported is still there", epilog=VERIFY, facts=True)
    verify.add_argument("uuid", nargs="?", metavar="UUID", help="of one order (default: all that have ended)")

    config = subcommands.group("config", help_="the settings", epilog=CONFIG)
    config.add("show", "config", help_="print all settings and where they come from", epilog=CONFIG_SHOW, facts=True)
    checking = config.add("check", "config", help_="look for mistakes in the settings", epilog=CONFIG_CHECK, facts=True)
    checking.add_argument("file", nargs="?", metavar="FILE", help="settings file (default: the one that would be used)")

    database = subcommands.group("db", help_="the tables in the database", epilog=DB)
    database.add("upgrade", "db", help_="make the tables, or bring them up to date", epilog=DB_UPGRADE, facts=True)
    database.add("current", "db", help_="print which revisions the tables have", epilog=DB_CURRENT, facts=True)
    stamp = database.add("stamp", "db", help_="say which revision the shared tables have", epilog=DB_STAMP, facts=True)
    stamp.add_argument("--revision", metavar="REVISION", help="that one (default: the one that they look like)")
    database.add("detach", "db", help_="give the database back to the former importer", epilog=DB_DETACH, facts=True)

    demo = subcommands.add("demo", "demo", help_="show it all at work, with servers of its own", epilog=DEMO, config=False)
    which = demo.add_mutually_exclusive_group()
    which.add_argument("--keep", action="store_true", help="leave everything running at the end")
    which.add_argument("--stop", action="store_true", help="end what an earlier demo left running")


def _configure_import(parser: ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file or folder to import")
    parser.add_argument("--into", required=True, metavar="TARGET", help="Dataset:ID (or Screen:ID for plates), which must exist")
    parser.add_argument("--for", dest="for_user", metavar="USER", help="whose images they become (default: the service account)")
    parser.add_argument("--in-group", metavar="GROUP", help="in which group (default: that user's default group)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--queue", action="store_true", help="leave it to a service, print the order's uuid and end")
    where.add_argument("--wait", action="store_true", help="leave it to a service and wait until it has ended")
    where.add_argument("--dry-run", action="store_true", help="show what would be imported, and import nothing")
    parser.add_argument("--skip-existing", action="store_true", help="leave files alone that the target already holds")
    parser.add_argument(
        "--priority", type=int, metavar="N", help="with --queue or --wait: higher ones are begun first (default: 0)"
    )


def _configure_orders(orders: _Subcommands) -> None:
    listing = orders.add("list", "orders", help_="list the newest orders", epilog=ORDERS_LIST, facts=True)
    listing.add_argument("--state", choices=[state.value for state in OrderState], help="only those in this state")
    listing.add_argument("--for", dest="for_user", metavar="USER", help="only those of this user")
    listing.add_argument("--limit", type=int, default=DEFAULT_LIMIT, metavar="N", help=f"at most so many ({DEFAULT_LIMIT})")
    show = orders.add("show", "orders", help_="show one order, its files and its stages", epilog=ORDERS_SHOW, facts=True)
    wait = orders.add("wait", "orders", help_="wait until an order has ended", epilog=ORDERS_WAIT, facts=True)
    wait.add_argument("--timeout", type=float, metavar="SECONDS", help="give up waiting after so long (default: never)")
    retry = orders.add(
        "retry", "operating", help_="order it again: only what is missing is imported", epilog=ORDERS_RETRY, facts=True
    )
    retry.add_argument("--again", action="store_true", help="import again what was imported and is not visible any more")
    cancel = orders.add("cancel", "operating", help_="call off an order", epilog=ORDERS_CANCEL, facts=True)
    undo = orders.add("undo", "undo", help_="remove from OMERO what it has imported", epilog=ORDERS_UNDO, facts=True)
    how = undo.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="show what would be removed, and remove nothing")
    how.add_argument("--yes", action="store_true", help="remove it without asking")
    for parser in (show, wait, retry, cancel, undo):
        parser.add_argument("uuid", metavar="UUID", help="of the order")


class _Subcommands:
    """The subcommands below one parser."""

    def __init__(self, parser: ArgumentParser, *, run: Callable[[Namespace], None], kind: type[ArgumentParser]) -> None:
        self._run, self._kind = run, kind
        self._choices: Any = parser.add_subparsers(
            title="Subcommands", metavar="<subcommand>", dest="adi_action", parser_class=kind
        )
        self._choices.required = True

    def group(self, name: str, *, help_: str, epilog: str) -> _Subcommands:
        """Add a subcommand that has subcommands itself."""
        return _Subcommands(self._parser(name, help_, epilog), run=self._run, kind=self._kind)

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
