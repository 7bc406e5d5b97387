# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings: what the server is configured with, under the names that OMERO has for it, and who may read which.

Names, defaults and visibility: omero-common.properties, omero-server.properties, omero-model.properties and config.xml of
OMERO's source; a real server was recorded to answer so (facts 4).
"""

from __future__ import annotations

import threading
from enum import Enum
from typing import TYPE_CHECKING

from omero_devserver.wire.server import REPOSITORY_TEMPLATE
from omero_devserver.wire.sessions import DEFAULT_IDLE_MILLISECONDS, SYNC_SECONDS, at_most

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from omero_devserver.wire.server import Server

VERSION = "5.6.12"  # the release that this server was compared with
DATABASE_UUID = "00000000-0000-0000-0000-000000000000"


class Visibility(Enum):
    """Who may read a setting."""

    ALL = "everybody"
    ADMINISTRATORS = "administrators"
    HIDDEN = "nobody"


FOR_CLIENTS: Mapping[str, str] = {
    "omero.client.browser.thumb_default_size": "96",
    "omero.client.download_as.max_size": "144000000",
    "omero.client.scripts_to_ignore": (
        "/omero/figure_scripts/Movie_Figure.py,/omero/figure_scripts/Split_View_Figure.py,"
        "/omero/figure_scripts/Thumbnail_Figure.py,/omero/figure_scripts/ROI_Split_Figure.py,"
        "/omero/export_scripts/Make_Movie.py,/omero/import_scripts/Populate_ROI.py"
    ),
    "omero.client.ui.menu.dropdown.colleagues.enabled": "true",
    "omero.client.ui.menu.dropdown.colleagues.label": "Members",
    "omero.client.ui.menu.dropdown.everyone.enabled": "true",
    "omero.client.ui.menu.dropdown.everyone.label": "All Members",
    "omero.client.ui.menu.dropdown.leaders.enabled": "true",
    "omero.client.ui.menu.dropdown.leaders.label": "Owners",
    "omero.client.ui.tree.orphans.description": "Images that are in no Dataset. Drag them into the one that they belong to.",
    "omero.client.ui.tree.orphans.enabled": "true",
    "omero.client.ui.tree.orphans.name": "Orphaned Images",
    "omero.client.ui.tree.type_order": "tagset,tag,project,dataset,screen,plate,acquisition,image",
    "omero.client.viewer.initial_zoom_level": "0",
    "omero.client.viewer.interpolate_pixels": "true",
    "omero.client.viewer.roi_limit": "2000",
    "omero.client.web.host": "",
}
_OF_THE_SERVER: Mapping[str, str] = {
    "omero.cluster.read_only": "false",
    "omero.cluster.read_only.db": "false",
    "omero.cluster.read_only.repo": "false",
    "omero.db.authority": "export.openmicroscopy.org",
    "omero.db.patch": "0",
    "omero.db.poolsize": "10",
    "omero.db.uuid": DATABASE_UUID,
    "omero.db.version": "OMERO5.4",
    "omero.fs.repo.path": REPOSITORY_TEMPLATE,
    "omero.mail.config": "false",
    "omero.pixeldata.max_plane_float_override": "true",
    "omero.pixeldata.max_plane_height": "3192",
    "omero.pixeldata.max_plane_width": "3192",
    "omero.pixeldata.max_projection_bytes": "268435456",
    "omero.pixeldata.max_tile_length": "1024",
    "omero.pixeldata.tile_height": "256",
    "omero.pixeldata.tile_width": "256",
    "omero.policy.binary_access": "+read,+write,+image",
    "omero.qa.feedback": "",
    "omero.security.password_required": "true",
    "omero.sessions.max_user_time_to_idle": "6000000",
    "omero.sessions.max_user_time_to_live": "0",
    "omero.sessions.maximum": "0",
    "omero.sessions.sync_interval": str(int(SYNC_SECONDS * 1000)),
    "omero.sessions.timeout": str(DEFAULT_IDLE_MILLISECONDS),
    "omero.upgrades.url": "",
    "omero.version": VERSION,
}
DEFAULTS = {**FOR_CLIENTS, **_OF_THE_SERVER}
_FOR_ALL = frozenset(FOR_CLIENTS) | {
    "omero.bioformats.version",
    "omero.cluster.read_only.runtime.db",
    "omero.cluster.read_only.runtime.repo",
    "omero.db.authority",
    "omero.db.uuid",
    "omero.mail.config",
    "omero.pixeldata.max_plane_float_override",
    "omero.pixeldata.max_plane_height",
    "omero.pixeldata.max_plane_width",
    "omero.pixeldata.max_projection_bytes",
    "omero.pixeldata.max_tile_length",
    "omero.pixeldata.tile_height",
    "omero.pixeldata.tile_width",
    "omero.qa.feedback",
    "omero.router.insecure",
    "omero.security.password_required",
    "omero.sessions.max_user_time_to_idle",
    "omero.sessions.max_user_time_to_live",
    "omero.sessions.maximum",
    "omero.sessions.timeout",
    "omero.upgrades.url",
    "omero.version",
}
_HIDDEN = frozenset(f"omero.db.{name}" for name in ("dialect", "driver", "host", "name", "pass", "poolsize", "user"))


def visibility(name: str) -> Visibility:
    """Say who may read a setting; of unknown ones, administrators."""
    if name in _HIDDEN:
        return Visibility.HIDDEN
    return Visibility.ALL if name in _FOR_ALL else Visibility.ADMINISTRATORS


class Settings:
    """The settings of one server; what clients change lasts until its end, and changes nothing but what they read."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._changed: dict[str, str] = {}
        self._lock = threading.Lock()

    def all(self) -> dict[str, str]:
        """List all settings by name."""
        options = self._server.options
        read_only = str(options.read_only).lower()
        return DEFAULTS | {
            # BlitzGateway leaves SSL after the login by default, and asks where to.
            "omero.router.insecure": f"OMERO.Glacier2/router:tcp -p {self._server.tcp_port} -h @omero.host@",
            "omero.cluster.read_only": read_only,
            "omero.cluster.read_only.runtime.db": read_only,
            "omero.cluster.read_only.runtime.repo": read_only,
            "omero.devserver.version": VERSION,  # a real server gives an administrator "" for a name that it does not know
            "omero.fs.repo.path": options.repository_template,
            "omero.data.dir": str(options.data),
            "omero.managed.dir": str(self._server.disk.root),
            "omero.scripts.timeout": str(int(options.script_seconds * 1000)),
            "omero.sessions.sync_interval": str(int(options.session_sync_seconds * 1000)),
            "omero.sessions.timeout": str(at_most(DEFAULT_IDLE_MILLISECONDS, options.session_idle_seconds)),
            **self._changed,
        }

    def change(self, name: str, change: Callable[[str], str | None]) -> bool:
        """Change a setting to what `change` makes of its value, None to leave it; tells whether it was changed."""
        with self._lock:
            value = change(self.all().get(name, ""))
            if value is not None:
                self._changed[name] = value
            return value is not None
