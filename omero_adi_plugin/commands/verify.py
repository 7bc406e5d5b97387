# SPDX-License-Identifier: GPL-2.0-or-later
"""Verify: the subcommand that compares what orders have imported with what OMERO and the disk hold now."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.attended import counted, cut_off_in_words
from omero_adi_plugin.commands.using import database_of, settings_of
from omero_adi_plugin.errors import ImportsDamaged
from omero_adi_plugin.pipeline.verifying import verify
from omero_adi_plugin.service.attempt import account
from omero_adi_plugin.sessions import Logins

if TYPE_CHECKING:
    from argparse import Namespace

    from omero_adi_plugin.pipeline.findings import Finding
    from omero_adi_plugin.pipeline.verifying import Verified


def run(args: Namespace) -> None:
    """Print what is not as it was imported.

    Raises
    ------
    ImportsDamaged
        Something is wrong; what a person did on purpose is not.
    OrderNotFound, OrderOpen
        Of the one order that was asked for.
    """
    settings = settings_of(args)
    with (
        database_of(settings) as database,
        Logins(account(settings)) as logins,
        cut_off_in_words(),
        counted("filesets looked at") as tell,
    ):
        done = verify(database, logins, settings=settings, uuid=args.uuid, on_progress=tell)
    if args.as_json:
        printing.as_json(_document(done))
    else:
        _print(done)
    if done.wrong:
        raise ImportsDamaged(findings=done.wrong)


def _print(done: Verified) -> None:
    """Print a row for each kind of trouble of an order, with the first of its kind: of many, nobody wants to read each."""
    alike: dict[tuple[str | None, str, str], list[Finding]] = defaultdict(list)
    for finding in done.findings:
        alike[finding.order, finding.user, finding.kind].append(finding)
    if alike:
        rows = [
            ("wrong" if found[0].kind.wrong else "note", kind, len(found), order or f"all of {user}", _words(found))
            for (order, user, kind), found in sorted(alike.items(), key=lambda each: not each[1][0].kind.wrong)
        ]
        printing.table(("level", "finding", "times", "order", "what it is, and what to do"), rows)
    left_out = f"; {_counted(done.left_out, 'order')} left out, which have not ended" if done.left_out else ""
    found = f"{_counted(done.wrong, 'finding')} to see to, {len(done.findings) - done.wrong} to know of"
    printing.line(
        f"{_counted(done.orders, 'order')}, {_counted(done.filesets, 'fileset')}, {_counted(done.files, 'file')} looked at: "
        f"{found if done.findings else 'all is as it was imported'}{left_out}"
    )


def _words(found: list[Finding]) -> str:
    first = found[0]
    more = f" (and {len(found) - 1} more: --json shows all)" if len(found) > 1 else ""
    of = "" if first.entry is None else f"{first.entry}: " if first.output is None else f"{first.entry} → {first.output}: "
    return f"{of}{first.words}{more} {first.remedy}".rstrip()


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _document(done: Verified) -> dict[str, Any]:
    return {
        "orders": done.orders,
        "filesets": done.filesets,
        "files": done.files,
        "left_out": done.left_out,
        "wrong": done.wrong,
        "findings": [
            {
                "wrong": finding.kind.wrong,
                "kind": finding.kind,
                "user": finding.user,
                "order": finding.order,
                "entry": finding.entry,
                "output": finding.output,
                "fileset": finding.fileset,
                "file": finding.file,
                "finding": finding.words,
                "remedy": finding.remedy,
            }
            for finding in done.findings
        ],
    }
