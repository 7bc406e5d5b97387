# SPDX-License-Identifier: GPL-2.0-or-later
"""References: objects that stand for a row of OMERO, as it takes them wherever it only needs to know which one is meant."""

from __future__ import annotations

from typing import Any

import omero.all


def reference(entity: str, identity: int) -> Any:  # noqa: ANN401 (classes of omero.model are untyped)
    """Return the unloaded object of this id; `entity` is OMERO's name of its class, `Dataset`."""
    return getattr(omero.model, f"{entity}I")(identity, False)  # noqa: FBT003 (not loaded: OMERO's own argument)


def link(entity: str, *, parent: Any, child: Any) -> Any:  # noqa: ANN401 (classes of omero.model are untyped)
    """Return an unsaved link of this class, `DatasetImageLink`, between two references."""
    made = getattr(omero.model, f"{entity}I")()
    made.setParent(parent)
    made.setChild(child)
    return made
