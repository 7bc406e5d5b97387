# SPDX-License-Identifier: GPL-2.0-or-later
"""Lab: who and what is in OMERO before anything is imported: a group, a scientist, a Dataset and a Screen of hers."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omero.gateway import BlitzGateway
from omero.model import DatasetI, ExperimenterGroupI, ExperimenterI, PermissionsI, ScreenI
from omero.rtypes import rbool, rstring

from omero_adi_plugin.commands.demo.passwords import new_password
from omero_adi_plugin.errors import OmeroDown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omero_adi_plugin.commands.demo.servers import Omero

GROUP = "demo-lab"
USER = "researcher"
READ_ANNOTATE = "rwra--"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """What orders can name: ids of the containers, and the scientist's password."""

    password: str = field(repr=False)
    dataset: int
    screen: int
    user: str = USER
    group: str = GROUP


@contextmanager
def connected(omero: Omero, user: str, password: str) -> Iterator[BlitzGateway]:
    """Be logged in meanwhile.

    Raises
    ------
    OmeroDown
        The server does not let the user in.
    """
    gateway = BlitzGateway(user, password, host=omero.host, port=omero.port, secure=True)
    try:
        if not gateway.connect():
            raise OmeroDown(where=f"{omero.host}:{omero.port}", why=f"it does not let '{user}' in")
        yield gateway
    finally:
        gateway.close()


def furnish(omero: Omero) -> Lab:
    """Make the group, the scientist, and her Dataset and Screen.

    Raises
    ------
    OmeroDown
        The server does not answer.
    """
    password = new_password()
    with connected(omero, "root", omero.root_password) as root:
        admin = root.getAdminService()
        group = ExperimenterGroupI()
        group.name = rstring(GROUP)
        group.ldap = rbool(val=False)
        group.details.permissions = PermissionsI(READ_ANNOTATE)
        made = ExperimenterGroupI(admin.createGroup(group), loaded=False)
        scientist = ExperimenterI()
        scientist.omeName, scientist.firstName, scientist.lastName = rstring(USER), rstring("Rosalind"), rstring("Example")
        scientist.ldap = rbool(val=False)
        everybody = ExperimenterGroupI(admin.getSecurityRoles().userGroupId, loaded=False)
        admin.createExperimenterWithPassword(scientist, rstring(password), made, [everybody, made])
    with connected(omero, USER, password) as gateway:
        dataset, screen = DatasetI(), ScreenI()
        dataset.name, dataset.description = rstring("Cells"), rstring("Images of the demo")
        screen.name, screen.description = rstring("Plates"), rstring("Plates would go here")
        update = gateway.getUpdateService()
        ids = [update.saveAndReturnObject(each).getId().getValue() for each in (dataset, screen)]
    return Lab(password=password, dataset=ids[0], screen=ids[1])
