# SPDX-License-Identifier: GPL-2.0-or-later
"""IUpdate: saving objects and graphs of objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero

from omero_devserver.model.schema import entity_of
from omero_devserver.store.errors import BadTarget, GraphFailed
from omero_devserver.store.graphrules import ChildOption
from omero_devserver.wire.arguments import managed
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.store.delete import Deletion
    from omero_devserver.wire.servant import Call

#: Hibernate's delete, which this is on a real server (ome.logic.UpdateImpl), takes links along and nothing more.
LINKED = ChildOption(exclude=frozenset({"Annotation", "Dataset", "Fileset", "Image", "Plate"}))


class Update:
    """Operations of ``omero.api.IUpdate``; each is one transaction."""

    def saveObject(self, call: Call, one: Any) -> None:
        """Save an object and what hangs on it."""
        _save(call, [one])

    def saveAndReturnObject(self, call: Call, one: Any) -> Any:
        """Save an object and what hangs on it; returns it with ids."""
        return _save(call, [one])[0]

    def saveArray(self, call: Call, many: Sequence[Any]) -> None:
        """Save objects: all of them, or none."""
        _save(call, many)

    def saveCollection(self, call: Call, many: Sequence[Any]) -> None:
        """Save objects: all of them, or none."""
        _save(call, many)

    def saveAndReturnArray(self, call: Call, many: Sequence[Any]) -> list[Any]:
        """Save objects: all of them, or none; returns them with ids, in their order."""
        return _save(call, many)

    def saveAndReturnIds(self, call: Call, many: Sequence[Any]) -> list[int]:
        """Save objects: all of them, or none; returns their ids, in their order."""
        return [one.id.val for one in _save(call, many)]

    def deleteObject(self, call: Call, one: Any) -> None:
        """Delete an object and its links, not what they lead to."""
        delete(call, [one])


def delete(call: Call, many: Sequence[Any]) -> None:
    """Delete objects as `Update.deleteObject` does: all of them, or none."""
    with call.server.store.transaction():
        deletions = [_delete(call, one) for one in many]
    for deletion in deletions:
        call.server.disk.remove(deletion.files)
        call.server.disk.remove_data(call.server.disk.data_of(deletion.objects))


def _delete(call: Call, one: Any) -> Deletion:
    identifier = managed(one)
    found = entity_of(one)
    call.server.store.get(call.user, found.name, [identifier])
    try:
        return call.server.store.delete(call.user, {found.name: [identifier]}, options=[LINKED])
    except GraphFailed as refusal:
        name = f"{found.full_name}:Id_{identifier}"
        if "not permitted" in refusal.message:
            raise fault(omero.SecurityViolation, f"Deleting {name} not allowed.") from refusal
        raise fault(omero.ValidationException, refusal.message) from refusal
    except BadTarget as error:
        raise fault(omero.SecurityViolation, f"Deleting {found.full_name}:Id_{identifier} not allowed.") from error


def _save(call: Call, many: Sequence[Any]) -> list[Any]:
    if many is None or any(one is None for one in many):
        raise fault(omero.ApiUsageException, "Argument to save cannot be null.")
    return call.server.store.save(call.user, many)
