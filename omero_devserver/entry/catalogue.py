# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue: which service is behind which name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.all
import omero.grid

from omero_devserver.repository.shared import SharedResources
from omero_devserver.scripts.job_handle import JobHandle
from omero_devserver.scripts.service import Scripts
from omero_devserver.services.admin import Admin
from omero_devserver.services.configuration import Configuration
from omero_devserver.services.containers import Containers
from omero_devserver.services.directory import Directory
from omero_devserver.services.metadata import Metadata
from omero_devserver.services.pixels import Pixels
from omero_devserver.services.projections import Projections
from omero_devserver.services.query import Query
from omero_devserver.services.raw_files import RawFiles
from omero_devserver.services.raw_pixels import RawPixels
from omero_devserver.services.rendering_engine import RenderingEngine
from omero_devserver.services.rendering_settings import RenderingSettings
from omero_devserver.services.rois import Rois
from omero_devserver.services.search import Search
from omero_devserver.services.session_service import SessionService
from omero_devserver.services.thumbnails import Thumbnails
from omero_devserver.services.timeline import Timeline
from omero_devserver.services.types import Types
from omero_devserver.services.update import Update
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from omero_devserver.wire.servant import Call


class Absent:
    """A service of which nothing is there: each of its operations is answered as not implemented."""


STATELESS: dict[str, Callable[[], object]] = {
    "omero.api.IAdmin": Admin,
    "omero.api.IConfig": Configuration,
    "omero.api.IContainer": Containers,
    "omero.api.ILdap": Directory,
    "omero.api.IMetadata": Metadata,
    "omero.api.IPixels": Pixels,
    "omero.api.IProjection": Projections,
    "omero.api.IQuery": Query,
    "omero.api.IRenderingSettings": RenderingSettings,
    "omero.api.IRepositoryInfo": Absent,
    "omero.api.IRoi": Rois,
    "omero.api.IScript": Scripts,
    "omero.api.ISession": SessionService,
    "omero.api.IShare": Absent,
    "omero.api.ITimeline": Timeline,
    "omero.api.ITypes": Types,
    "omero.api.IUpdate": Update,
    "omero.grid.SharedResources": SharedResources,
}
STATEFUL: dict[str, Callable[[], object]] = {
    "JobHandle": JobHandle,
    "RawFileStore": RawFiles,
    "RawPixelsStore": RawPixels,
    "Search": Search,
    "RenderingEngine": RenderingEngine,
    "ThumbnailStore": Thumbnails,
}


def stateless(call: Call, name: str) -> Any:
    """Give the proxy of a stateless service, created at its first use in the session.

    Parameters
    ----------
    call : Call
        In whose session.
    name : str
        Full name, as ``omero.api.IQuery``.

    Returns
    -------
    proxy
        Cast to the service's own proxy class.

    Raises
    ------
    omero.ApiUsageException
        No service has that name.
    """
    if name not in STATELESS:
        raise fault(omero.ApiUsageException, f"No such service: {name}")
    module, short = (omero.grid if name.startswith("omero.grid.") else omero.api), name.rpartition(".")[2]
    proxy = call.service(name, STATELESS[name](), getattr(module, short))
    return getattr(module, short + "Prx").uncheckedCast(proxy)


def create(call: Call, kind: str) -> Any:
    """Create a stateful service, as `RawFileStore`; returns its proxy, cast to its own proxy class.

    Raises
    ------
    omero.InternalException
        Services of that kind are not there.
    """
    if kind not in STATEFUL:
        raise call.server.journal.not_implemented(f"ServiceFactory.create{kind}")
    proxy = call.stateful(STATEFUL[kind](), getattr(omero.api, kind))
    return getattr(omero.api, kind + "Prx").uncheckedCast(proxy)
