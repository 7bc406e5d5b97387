# SPDX-License-Identifier: GPL-2.0-or-later
"""Preflight: what is checked before anything is touched, because OMERO.server does not check it or notices too late.

Here is what concerns the order and its filesets; each file is looked at by the `gate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.errors import OrderMalformed, UsageError, WrongContainer
from omero_adi_plugin.importers.target import check_target
from omero_adi_plugin.orders import TargetKind

if TYPE_CHECKING:
    from omero_adi_plugin.importers.plans import FilesetPlan
    from omero_adi_plugin.orders import Order, Target
    from omero_adi_plugin.sessions import OmeroSession
    from omero_adi_plugin.settings import Settings


def check_order(order: Order, *, session: OmeroSession) -> None:
    """Check what concerns the whole order; nothing of it is imported when this raises.

    Raises
    ------
    TargetMissing, TargetNotWritable
        The target is not there for this user in this group, or nothing may be added to it.
    """
    check_target(session, order.target)


def check_allowed(container: str, *, settings: Settings) -> None:
    """Check, before an order is placed, that its converter may run where these settings hold.

    Raises
    ------
    UsageError
        It is no name of an image.
    ConverterNotAllowed
        The site does not let it run.
    """
    from omero_adi_plugin.containers.images import choose  # noqa: PLC0415 (loads podman's client, which few orders need)

    try:
        choose(container, settings=settings)
    except OrderMalformed as error:
        raise UsageError(f"Nothing was ordered: {error.problem}.") from error


def check_fits(plan: FilesetPlan, *, target: Target) -> None:
    """Check that a fileset can go into the target: the real server imports it all the same, and links it to nothing.

    Raises
    ------
    WrongContainer
        Images for a Screen, or a plate for a Dataset.
    """
    if target.kind is TargetKind.SCREEN and not plan.plates:
        raise WrongContainer(path=_file(plan), kind="an image" if plan.images == 1 else "a file of images", target=str(target))
    if target.kind is TargetKind.DATASET and plan.plates:
        raise WrongContainer(path=_file(plan), kind="a plate", target=str(target))


def _file(plan: FilesetPlan) -> str:
    """Return the file to name: the one that was ordered, or, if that was a folder, the one of its files that this is about."""
    path = plan.entry.path
    return path if any(file.path == path for file in plan.files) else plan.files[0].path
