# SPDX-License-Identifier: GPL-2.0-or-later
"""Ordering: `import` and `orders`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.commands.parsing.converting import configure_converter
from omero_adi_plugin.stages import OrderState

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from omero_adi_plugin.commands.parsing.subcommands import Subcommands

DEFAULT_LIMIT = 25
"""How many orders are listed without --limit."""

IMPORT = """\
Examples:
  omero adi import day1.ome.tif --into Dataset:151
  omero adi import *.ome.tif --into Dataset:151 --for researcher --in-group demo-lab
  omero adi import big.ome.tif --into Dataset:151 --queue
  omero adi import big.ome.tif --into Dataset:151 --wait
  omero adi import /data/lab/day1 --into Dataset:151 --dry-run
  omero adi import plate.xdce --into Screen:12 --skip-existing
  omero adi import urgent.ome.tif --into Dataset:151 --wait --priority 10
  omero adi import scan.lif --into Dataset:151 --container docker.io/lab/convert:1.2 --param saveoption=single

A folder is searched 10 levels deep. Files are imported in place: OMERO holds links to them, so they must stay where they are.
Without --queue and --wait the order is carried out here, in this process; when as many filesets as OMERO.server is to import at
the same time are being imported, it waits for one to be in. Ctrl-C leaves what is missing to a service. Orders of a higher
--priority are begun first, whosever they are; -100 to 100, and 0 for all that say nothing.

With --container a converter makes something else of each path first, in a container, and that is imported. Images that may run
are listed by `containers: allow:` in the settings; `omero adi convert` tries one."""

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


def configure(subcommands: Subcommands) -> None:
    """Add them."""
    _configure_import(subcommands.add("import", "imports", help_="order an import", epilog=IMPORT, facts=True))
    _configure_orders(subcommands.group("orders", help_="see what became of orders; order again, call off", epilog=ORDERS))


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
    configure_converter(parser)


def _configure_orders(orders: Subcommands) -> None:
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
