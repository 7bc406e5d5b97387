# SPDX-License-Identifier: GPL-2.0-or-later
"""Target: the Dataset or Screen that an order imports into, checked before anything is imported.

OMERO.server looks at the target only in the first step of an import, when files and rows are there already, and links a
target that lies in the group `system` or `user` across groups without a word (real server, recorded).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import omero.all
from omero.rtypes import rlong

from omero_adi_plugin.errors import TargetMissing, TargetNotWritable
from omero_adi_plugin.ice import translated

if TYPE_CHECKING:
    from omero_adi_plugin.importers.protocol import Session
    from omero_adi_plugin.orders import Target


def check_target(session: Session, target: Target) -> None:
    """Check that the session's user can put something into the target.

    Raises
    ------
    TargetMissing
        There is none of this kind and id in the session's group that the user can see.
    TargetNotWritable
        The user may not link anything to it.
    """
    parameters = omero.sys.ParametersI()
    parameters.add("id", rlong(target.id))
    with translated(f"looking up {target}", session.where):
        # without a context of its own the query sees the session's group alone
        query = f"select t from {target.kind} t where t.id = :id"  # noqa: S608 (one of two names)
        found = session.factory.getQueryService().findByQuery(query, parameters)
    if found is None or found.getDetails().getGroup().getId().getValue() != session.group_id:
        raise TargetMissing(target=str(target), user=session.user, group=session.group)
    if not found.getDetails().getPermissions().canLink():
        raise TargetNotWritable(target=str(target), user=session.user)
