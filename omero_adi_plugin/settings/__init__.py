# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings: what an administrator can set, each with its unit in its name.

A value comes from the command line, else from the environment, else from the settings file, else it is the default.

    model       the settings, their types, limits and defaults
    catalogue   what is known of each besides its value: its names in the environment, whether it has an effect yet
    document    the settings file, with the line of every value
    secret      secrets in files of their own, and how a database URL is shown
    exposure    files with secrets that everybody can read
    sources     where a value comes from
    checking    keys that nobody knows
    validating  from what was found to settings, or to all that is wrong with it

Nothing that may be a secret reaches an error, a log or a screen.
"""

from omero_adi_plugin.settings.model import Settings
from omero_adi_plugin.settings.sources import find_file

__all__ = ["Settings", "find_file"]
