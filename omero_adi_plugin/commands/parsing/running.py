# SPDX-License-Identifier: GPL-2.0-or-later
"""Running: `serve`, `status`, `pause`, `resume`, `check` and `verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omero_adi_plugin.commands.parsing.subcommands import Subcommands

SERVE = """\
Examples:
  omero adi serve                          carry out orders until told to end (SIGTERM or Ctrl-C)
  omero adi serve --once                   do what is waiting, then end
  omero adi serve --config /etc/adi.yml
  omero adi serve --set dispatch=grid      have scripts on OMERO's Processors carry them out

Any number of services, on any number of hosts, can run on one database. SIGTERM or Ctrl-C: no new orders, those that run may
finish for `shutdown_timeout` seconds and are given back then; a second time: at once.

Exit status: 0 ended as asked or, with --once, nothing is left to do; 78 a setting is wrong. With --once also 69 if OMERO or the
database is not there, and 75 if all imports are paused; without it the service waits for them. What became of each order is told
by `omero adi orders list`: that an order failed is no failure of the service."""

STATUS = """\
Examples:
  omero adi status
  omero adi status --json

Shows the services on all hosts with what each of their workers does, what else carries out orders, how many orders wait and for
what, and what has ended in the last day. Exit status: 0, whatever it shows; `omero adi check` looks for faults."""

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

CHECK = """\
Examples:
  omero adi check
  omero adi check --json

Looks at: the tables and the trigger in the database, orders that are pending for too long, another importer on the same
database, rows that cannot be taken in, services, OMERO, the scripts there, podman and what else converters need, files with
secrets that everybody can read. Exit status: 0 all is well, 78 there is something to see to."""

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


def configure(subcommands: Subcommands) -> None:
    """Add them."""
    serve = subcommands.add("serve", "serve", help_="carry out orders: the service", epilog=SERVE)
    serve.add_argument("--once", action="store_true", help="end when every order is done")

    subcommands.add("status", "status", help_="show services, workers and the queue", epilog=STATUS, facts=True)
    pause = subcommands.add("pause", "pausing", help_="begin no further order, on any host", epilog=PAUSE, facts=True)
    pause.add_argument(
        "--drain", action="store_true", help="give back what runs, and wait until nothing is being imported any more"
    )
    subcommands.add("resume", "pausing", help_="let paused imports go on", epilog=RESUME, facts=True)
    subcommands.add("check", "check", help_="look for what an administrator must see to", epilog=CHECK, facts=True)

    verify = subcommands.add("verify", "verify", help_="look whether what was imported is still there", epilog=VERIFY, facts=True)
    verify.add_argument("uuid", nargs="?", metavar="UUID", help="of one order (default: all that have ended)")
