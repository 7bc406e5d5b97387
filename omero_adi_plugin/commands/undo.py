# SPDX-License-Identifier: GPL-2.0-or-later
"""Undo: the subcommand that removes from OMERO what an order has imported, after it has shown what that is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.commands import printing
from omero_adi_plugin.commands.attended import counted, cut_off_in_words
from omero_adi_plugin.commands.person import who
from omero_adi_plugin.commands.using import database_of, settings_of
from omero_adi_plugin.errors import NotPermitted, OrderFailed, RemovalRefused, UsageError
from omero_adi_plugin.pipeline.undoing import Removal, Undoing, check_ended, target_of
from omero_adi_plugin.service.attempt import account
from omero_adi_plugin.sessions import Logins
from omero_adi_plugin.tracking.views import order_summary

if TYPE_CHECKING:
    from argparse import Namespace

    from omero_adi_plugin.pipeline.undoing import Extent
    from omero_adi_plugin.sessions import OmeroSession
    from omero_adi_plugin.tracking.views import OrderStatus


def run(args: Namespace) -> None:
    """Show what an order has imported, and remove it if the person says so.

    Raises
    ------
    OrderNotFound, OrderOpen
        It cannot be done; nothing was changed.
    UsageError
        Nobody has said that it is to be done.
    NotPermitted
        The order's user may not, or cannot be acted for.
    RemovalRefused
        OMERO refuses to delete some of it.
    """
    settings = settings_of(args)
    with database_of(settings) as database, Logins(account(settings)) as logins, cut_off_in_words():
        report = order_summary(database, args.uuid)
        check_ended(report)
        target_of(report)
        with _acting(logins, report) as session:
            undoing = Undoing(
                database, report, session=session, service=logins.service(), namespace=settings.annotation_namespace
            )
            extent = undoing.look()
            wanted = extent.removable and not args.dry_run
            if not args.as_json:
                _show(report, extent)
            if wanted and not args.yes:
                wanted = _is_confirmed()
            done = None
            if wanted:
                with counted("filesets removed") as tell:
                    done = undoing.remove(extent, who=who(), on_progress=tell)
    if args.as_json:
        printing.as_json(_document(report, extent, done))
    elif done is not None:
        _tell(report, done)
    elif extent.removable:
        printing.line("nothing was removed")
    if not args.dry_run:
        _raise_if_something_stays(extent, done)


def _acting(logins: Logins, report: OrderStatus) -> OmeroSession:
    try:
        return logins.act_for(report.user, report.group)
    except OrderFailed as error:  # its words are about a new order
        raise NotPermitted(
            f"Nothing was removed: that is done as '{report.user}' in the group '{report.group}', and this account is gone, "
            "inactive or not in that group. Let an administrator put that right, or remove the images in OMERO."
        ) from error


def _is_confirmed() -> bool:
    """Return whether the person at the terminal wants it done."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("Nothing was removed. Give --yes to remove it, or --dry-run to only see what that would be.")
    printing.note("Remove all of that from OMERO? The files that it was imported from stay where they are. [y/N]")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _show(report: OrderStatus, extent: Extent) -> None:
    if not (extent.removable or extent.out_of_sight):
        printing.line(f"OMERO holds nothing that order {report.uuid} has imported")
        return
    facts = (
        ("filesets", len(extent.filesets)),
        ("images", extent.images),
        ("plates", extent.plates),
        ("files", extent.files),
        ("regions of interest on them", extent.rois),
        ("annotations of others on them", extent.annotations),
        (f"in other containers than {report.target}", extent.elsewhere),
        ("not in OMERO any more, to be forgotten", len(extent.vanished)),
    )
    printing.table((f"order {report.uuid}", "in OMERO"), [fact for fact in facts if fact[1] or fact[0] == "filesets"])
    for fileset, why in extent.out_of_sight:
        printing.line(f"Fileset {fileset} stays: {why}")


def _tell(report: OrderStatus, done: Removal) -> None:
    for fileset, why in done.refused:
        printing.line(f"Fileset {fileset} stays: {why}")
    removed = f"{len(done.removed)} fileset{'' if len(done.removed) == 1 else 's'}"
    printing.line(f"order {report.uuid}: {removed} removed from OMERO")


def _raise_if_something_stays(extent: Extent, done: Removal | None) -> None:
    """Say that something stays: because others have it now, or for a reason that may go away."""
    if done is not None and len(done.refused) > len(extent.out_of_sight):
        raise RemovalRefused(filesets=len(done.refused))
    if extent.out_of_sight and (done is not None or not extent.removable):
        raise NotPermitted(
            f"{len(extent.out_of_sight)} of its filesets stay, because the order's user does not see them any more. "
            "Whoever has them now can remove them in OMERO."
        )


def _document(report: OrderStatus, extent: Extent, done: Removal | None) -> dict[str, Any]:
    return {
        "uuid": report.uuid,
        "filesets": list(extent.filesets),
        "images": extent.images,
        "plates": extent.plates,
        "files": extent.files,
        "rois": extent.rois,
        "annotations": extent.annotations,
        "elsewhere": extent.elsewhere,
        "vanished": list(extent.vanished),
        "removed": [] if done is None else done.removed,
        "stay": [{"fileset": fileset, "why": why} for fileset, why in (extent.out_of_sight if done is None else done.refused)],
        "undone": done is not None,
    }
