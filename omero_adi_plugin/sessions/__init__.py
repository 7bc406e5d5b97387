# SPDX-License-Identifier: GPL-2.0-or-later
"""Sessions: log-ins to OMERO, of the service account and of the users that it acts for."""

from omero_adi_plugin.sessions.clients import Account
from omero_adi_plugin.sessions.given import GivenSession
from omero_adi_plugin.sessions.logins import Logins
from omero_adi_plugin.sessions.session import OmeroSession

__all__ = ["Account", "GivenSession", "Logins", "OmeroSession"]
