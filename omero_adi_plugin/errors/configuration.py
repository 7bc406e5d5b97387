# SPDX-License-Identifier: GPL-2.0-or-later
"""Configuration: a setting is missing or makes no sense, or something is not installed as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.errors.base import AdiError

if TYPE_CHECKING:
    from collections.abc import Sequence


class ConfigurationError(AdiError):
    """A setting is missing, has a wrong value, or contradicts another."""


class ScriptsMissing(ConfigurationError):
    """OMERO has no script of ours that is to be launched."""

    def __init__(self, *, script: str, where: str) -> None:
        super().__init__(
            f"OMERO at {where} does not have the script {script}. Run `omero adi scripts install` as an administrator: "
            "`omero adi scripts install --help` says how."
        )
        self.script, self.where = script, where


class ScriptNotTaken(ConfigurationError):
    """OMERO has found no parameters in a script of ours, and has switched it off; `words` are what the run of it said last."""

    def __init__(self, *, script: str, where: str, words: str) -> None:
        super().__init__(
            f"OMERO at {where} cannot use the script {script}, and has switched it off: {words}. "
            "See to the Python that its Processor runs scripts with, and run `omero adi scripts install` again."
        )
        self.script, self.where, self.words = script, where, words


class ScriptForeign(ConfigurationError):
    """Somebody else's scripts have the paths of ours."""

    def __init__(self, *, scripts: Sequence[str], where: str) -> None:
        super().__init__(
            f'OMERO at {where} has other scripts by the names of ours in "Import Scripts": {", ".join(scripts)}. '
            "They were left alone. Give them other names, or remove them, and run `omero adi scripts install` again."
        )
        self.scripts, self.where = tuple(scripts), where


class CheckFailed(ConfigurationError):
    """The check of the installation found something that an administrator must see to; the findings are printed by then."""

    def __init__(self, *, findings: int) -> None:
        super().__init__(f"{findings} finding{'' if findings == 1 else 's'} to see to, listed above with what to do.")
        self.findings = findings
