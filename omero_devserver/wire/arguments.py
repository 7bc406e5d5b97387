# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments: objects and proxies as clients send them, refused where they are missing or empty."""

from __future__ import annotations

from typing import Any

import omero

from omero_devserver.wire.faults import fault


def given(argument: Any) -> Any:
    """Give an argument back that must not be null; raises ApiUsageException."""
    if argument is None:
        raise fault(omero.ApiUsageException, "Argument may not be null.")
    return argument


def managed(obj: Any) -> int:
    """Give the id of an object that must have one; raises ApiUsageException."""
    if given(obj).id is None:
        raise fault(omero.ApiUsageException, f"{type(obj).__name__.removesuffix('I')} has no id.")
    return int(obj.id.val)


def loaded(obj: Any) -> Any:
    """Give an object back that has values, and not an id only; raises ApiUsageException."""
    if not given(obj).isLoaded():
        raise fault(omero.ApiUsageException, f"Object unloaded: {type(obj).__name__.removesuffix('I')}")
    return obj
