# SPDX-License-Identifier: GPL-2.0-or-later
"""Installing: `config`, `db`, `scripts` and `demo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omero_adi_plugin.commands.parsing.subcommands import Subcommands

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

SCRIPTS = """\
Examples:
  omero adi scripts status
  OMERO_USER=root OMERO_PASSWORD=... omero adi scripts install
  OMERO_USER=root OMERO_PASSWORD=... omero adi scripts remove

Scripts of OMERO.web's menu "Import Scripts": with "Import Files", "Import Status" and "Retry Or Cancel Import" people order
imports there; "Run Import Orders" is what a service with `dispatch: grid` launches on OMERO's Processors."""

SCRIPTS_INSTALL = """\
Examples:
  omero adi scripts install
  OMERO_USER=root OMERO_PASSWORD=... omero adi scripts install
  omero adi scripts install --json

Uploads the scripts of this package as official ones, beside those of OMERO itself. One that is there already, and is another
version, is replaced and keeps its id; one that is the same is left alone: it can be run again at any time, also when it was
interrupted. It needs an administrator who holds the privilege WriteScriptRepo; the service account with Sudo alone is not enough,
and need not be more than that: name another account for this one command, as above.

Exit status: 0 all are there as they are in this package, 69 OMERO is not there, 75 the connection broke: run it again,
77 the account may not, 78 OMERO could not read a script, or another script has the name of one of ours."""

SCRIPTS_STATUS = """\
Examples:
  omero adi scripts status
  omero adi scripts status --json

Shows which version of each script OMERO has, and which one this package has. Exit status: 0, whatever it shows, unless OMERO is
not there (69); programs read `up_to_date` in the JSON, and `omero adi check` looks for faults."""

SCRIPTS_REMOVE = """\
Examples:
  omero adi scripts remove
  OMERO_USER=root OMERO_PASSWORD=... omero adi scripts remove

Takes the scripts of this package off OMERO, and no others. Services with `dispatch: grid` cannot launch anything then. OMERO does
not always delete a script that has run, because its jobs name it; such a one is switched off: nobody sees it or can run it, and
`install` switches it on again. It needs an administrator who holds the privileges DeleteScriptRepo and WriteScriptRepo, and
DeleteOwned for what others have run.

Exit status: as that of `install`."""

DEMO = """\
Examples:
  omero adi demo                           show everything, then end everything
  omero adi demo --keep                    leave it running, to try things by hand:
  . .demo/env                              ... after which every command works
  omero adi demo --stop                    end it

All of it lies below .demo in this folder, and answers on this machine only."""


def configure(subcommands: Subcommands) -> None:
    """Add them."""
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

    scripts = subcommands.group("scripts", help_="what OMERO.web offers, and what runs on OMERO's Processors", epilog=SCRIPTS)
    scripts.add("install", "scripts", help_="upload ours, or bring them up to date", epilog=SCRIPTS_INSTALL, facts=True)
    scripts.add("status", "scripts", help_="show which versions OMERO has", epilog=SCRIPTS_STATUS, facts=True)
    scripts.add("remove", "scripts", help_="take ours off OMERO", epilog=SCRIPTS_REMOVE, facts=True)

    demo = subcommands.add("demo", "demo", help_="show it all at work, with servers of its own", epilog=DEMO, config=False)
    which = demo.add_mutually_exclusive_group()
    which.add_argument("--keep", action="store_true", help="leave everything running at the end")
    which.add_argument("--stop", action="store_true", help="end what an earlier demo left running")
