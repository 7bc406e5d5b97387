# SPDX-License-Identifier: GPL-2.0-or-later
"""Preflight: what is checked before anything is touched, because OMERO.server does not check it or notices too late."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import ConvertersMissing, FileMissing, PathOutsideRoots, SourceUnreadable, WrongContainer
from omero_adi_plugin.importers.target import check_target
from omero_adi_plugin.orders import TargetKind

if TYPE_CHECKING:
    from pathlib import Path

    from omero_adi_plugin.importers.protocol import FilesetPlan
    from omero_adi_plugin.orders import Entry, Order, Target
    from omero_adi_plugin.sessions import OmeroSession


def check_order(order: Order, *, session: OmeroSession) -> None:
    """Check what concerns the whole order; nothing of it is imported when this raises.

    Raises
    ------
    ConvertersMissing
        The order asks for preprocessing.
    TargetMissing, TargetNotWritable
        The target is not there for this user in this group, or nothing may be added to it.
    """
    if order.container is not None:
        raise ConvertersMissing(container=order.container)
    check_target(session, order.target)


def check_entry(entry: Entry, *, base_dir: Path) -> None:
    """Check one entry's path; links and `..` are resolved first, so that none leads out of `base_dir`.

    Raises
    ------
    PathOutsideRoots, FileMissing, SourceUnreadable
        The entry cannot be imported; others of the order can. A path outside is refused before it is looked at, so that
        nobody learns from the answer what exists there.
    """
    root = os.path.realpath(base_dir)
    try:
        if os.path.commonpath([os.path.realpath(entry.path), root]) != root:
            raise PathOutsideRoots(path=entry.path, root=str(base_dir))
        os.stat(entry.path)  # noqa: PTH116 (a name that is no valid text for Path must get an answer too)
    except PermissionError as error:
        raise SourceUnreadable(path=entry.path, account=f"uid {os.geteuid()}") from error
    except (OSError, ValueError) as error:  # not there; a loop of links; a name longer than the file system's limit
        raise FileMissing(path=entry.path) from error


def check_fits(plan: FilesetPlan, *, target: Target) -> None:
    """Check that a fileset can go into the target: the real server imports it all the same, and links it to nothing.

    Raises
    ------
    WrongContainer
        Images for a Screen, or a plate for a Dataset.
    """
    if target.kind is TargetKind.SCREEN and not plan.plates:
        raise WrongContainer(path=plan.entry.path, kind="an image" if plan.images == 1 else "images", target=str(target))
    if target.kind is TargetKind.DATASET and plan.plates:
        raise WrongContainer(path=plan.entry.path, kind="a plate", target=str(target))
