# SPDX-License-Identifier: GPL-2.0-or-later
"""Versions: what the server says of itself in the MetadataImportJob of an import."""

from __future__ import annotations

import locale
import platform

import tifffile

from omero_devserver.repository import library


def version_info() -> dict[str, str]:
    """Name server, system and libraries, with the keys that a real server uses (recorded: facts 1, "Rows")."""
    bioformats = library.version()
    return {
        "client.language.name": "Python",
        "client.language.version": platform.python_version(),
        "client.language.vendor": platform.python_implementation(),
        "os.name": platform.system(),
        "os.version": platform.release(),
        "os.architecture": {"x86_64": "amd64"}.get(platform.machine(), platform.machine()),  # as Java calls it
        "locale": (locale.getlocale()[0] or "en").partition("_")[0],
        "tifffile.version": tifffile.__version__,
        **({"bioformats.version": bioformats} if bioformats is not None else {}),
    }
