# SPDX-License-Identifier: GPL-2.0-or-later
"""Users and groups for whom nothing can be imported: a sentence each, and nothing is in OMERO."""

import uuid
from typing import Any

from omero.model import ExperimenterI
from omero.rtypes import rbool, rstring

from omero_adi_plugin.sessions import Logins
from tests.fixtures.facility import Facility
from tests.fixtures.laboratory import make_group, make_user
from tests.fixtures.samples import Samples


def never_logged_in(admin: Any) -> str:
    """Make a user whom nobody has put into a group yet."""
    user, name = ExperimenterI(), f"user-{uuid.uuid4().hex[:8]}"
    for set_to in (user.setOmeName, user.setFirstName, user.setLastName):
        set_to(rstring(name))
    user.setLdap(rbool(False))
    admin.createExperimenterWithPassword(user, rstring("secret"), admin.lookupGroup("user"), [])
    return name


def test_each_gets_a_sentence_of_its_own(facility: Facility, samples: Samples, logins: Logins) -> None:
    admin = logins.service().factory.getAdminService()
    lab = facility.lab
    inactive, other_group = make_user(admin, lab.group), make_group(admin)
    stranger = make_user(admin, other_group)
    found = admin.lookupExperimenter(inactive)
    admin.removeGroups(found, [admin.lookupGroup("user")])
    expected = {
        ("nobody-of-this-name", lab.group): "OMERO has no user 'nobody-of-this-name'",
        (lab.user.upper(), lab.group): "case-sensitive",
        (inactive, lab.group): f"'{inactive}' is inactive",
        (never_logged_in(admin), lab.group): "log in",
        (stranger, lab.group): f"'{stranger}' is not a member of the group '{lab.group}'",
        (lab.user, other_group): f"'{lab.user}' is not a member of the group '{other_group}'",
        (lab.user, "no-group-of-this-name"): "OMERO has no group 'no-group-of-this-name'",
    }
    path = samples.image()
    orders = {facility.order(path, user_name=user, group_name=group): says for (user, group), says in expected.items()}
    facility.carry_out(*orders)
    for order, says in orders.items():
        stage, description = facility.end(order)
        assert stage == "Import Failed"
        assert description is not None
        assert says in description
    assert lab.images() == []
    assert lab.markers() == {}
    everywhere = logins.service().query("select count(f.id) from Fileset f where f.details.group.name = :name", name=other_group)
    assert everywhere == [[0]]
