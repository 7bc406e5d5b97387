# SPDX-License-Identifier: GPL-2.0-or-later
"""Parsing: the subcommands, their arguments and their help, a module for each kind of work.

    ordering      for whoever wants something imported: `import`, `orders`
    converting    for whoever writes a converter: `convert`
    running       for whoever runs the service: `serve`, `status`, `pause`, `resume`, `check`, `verify`
    installing    for whoever sets it up: `config`, `db`, `scripts`, `demo`
    subcommands   what all parsers have in common

OMERO runs this for every `omero` command, whichever it is: so nothing heavy is imported here.
"""
