# SPDX-License-Identifier: GPL-2.0-or-later
"""IAdmin: users and groups."""

from omero_devserver.services.group_changes import GroupChanges
from omero_devserver.services.people_changes import PeopleChanges
from omero_devserver.services.people_lookups import PeopleLookups


class Admin(PeopleLookups, PeopleChanges, GroupChanges):
    """Operations of ``omero.api.IAdmin``.

    Not there: photos, and what moves objects to other owners and groups (changeOwner, changeGroup, moveToCommonSpace), for
    which clients submit requests nowadays.
    """
