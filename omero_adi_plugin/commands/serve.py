# SPDX-License-Identifier: GPL-2.0-or-later
"""Serve: the subcommand that carries out orders until told to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.commands.using import settings_of
from omero_adi_plugin.service.run import serve

if TYPE_CHECKING:
    from argparse import Namespace


def run(args: Namespace) -> None:
    """Serve; with `--once` until everything is done."""
    serve(settings_of(args), once=args.once)
