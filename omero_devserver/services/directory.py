# SPDX-License-Identifier: GPL-2.0-or-later
"""ILdap: the directory that users may log in by; there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omero_devserver.wire.servant import Call


class Directory:
    """Operations of ``omero.api.ILdap``."""

    def getSetting(self, call: Call) -> bool:
        """Tell whether users log in by a directory."""
        return False
