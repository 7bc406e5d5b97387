# SPDX-License-Identifier: GPL-2.0-or-later
"""Converting: `convert`, and what a converter is told, by an order too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from omero_adi_plugin.commands.parsing.subcommands import Subcommands

CONVERT = """\
Examples:
  omero adi convert scan.lif --container docker.io/lab/convert:1.2
  omero adi convert scan.lif --container localhost/mine:1 --param saveoption=single --param channels=1,2
  omero adi convert scan.lif --container localhost/mine:1 --keep made
  omero adi convert scan.lif --container localhost/mine:1 --set source_mount=rw --set converter_network=on

Runs the converter in this image over one file, or folder, as an order with --container does, and shows what would be imported:
each output with its name, its format as Bio-Formats reads it, where it would be kept, and its key-values. Neither OMERO nor a
database is asked, nothing is imported, and nothing stays but what --keep copies. What the converter says is on stderr: behind
`out|` what it writes to stdout, of which the last line tells of its outputs, behind `err|` what it writes to stderr.

Where there are no settings, or they do not say which images may run (`containers: allow:`), this one may for this once; all else
is as the settings, or their defaults, say: `omero adi config show`. docs/converters.md describes what a converter has to do, and
has one to begin with.

Exit status: 0 all that was made can be imported, 65 the conversion failed or something cannot be, 69 podman is not there,
75 there is no room, or the file is still being written, 78 a setting is wrong."""


def configure(subcommands: Subcommands) -> None:
    """Add it."""
    parser = subcommands.add("convert", "convert", help_="try a converter, and import nothing", epilog=CONVERT, facts=True)
    parser.add_argument("path", metavar="PATH", help="file or folder to convert")
    parser.add_argument("--keep", metavar="DIR", help="copy what the converter has made to this folder, which must be empty")
    configure_converter(parser, required=True)


def configure_converter(parser: ArgumentParser, *, required: bool = False) -> None:
    """Give a parser the options that name a converter, and say how it is to convert."""
    which = "the image that converts" if required else "have a converter, in this image, make what is imported"
    parser.add_argument("--container", metavar="IMAGE", required=required, help=which)
    parser.add_argument(
        "--param", dest="parameters", action="append", metavar="KEY=VALUE", help="give the converter this option; may be repeated"
    )
