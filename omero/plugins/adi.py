# SPDX-License-Identifier: GPL-2.0-or-later
"""Registration of `omero adi`, and nothing else.

OMERO executes this file for every `omero` command, with `register` among its globals and without `__file__`
(omero-py, omero/cli.py, CLI.loadpath). So it loads only how the command is called; what does the work is loaded when it is asked
for. The import stands here and not in the class, because OMERO survives a plugin that cannot be loaded, but not one that
cannot be configured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero.cli import BaseControl

from omero_adi_plugin.commands.parser import HELP, configure

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


class AdiControl(BaseControl):
    """The command `omero adi`."""

    def _configure(self, parser: ArgumentParser) -> None:
        configure(parser, self._run)

    def _run(self, args: Namespace) -> None:
        from omero_adi_plugin.commands.control import run  # noqa: PLC0415  see above

        run(self.ctx, args)


register("adi", AdiControl, HELP)  # noqa: F821  OMERO puts it there
