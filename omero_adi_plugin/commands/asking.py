# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking: what the command line says of a converter, `--container` and `--param`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omero_adi_plugin.errors import UsageError, quoted
from omero_adi_plugin.tracking.contract import Preprocessing

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence


def preprocessing_of(args: Namespace) -> Preprocessing | None:
    """Return what a converter is to do first, as an order says it; None if nobody asks for one.

    Raises
    ------
    UsageError
        The parameters are none, one is given twice, or there is no converter that they could be for.
    """
    if args.container is None:
        if args.parameters:
            raise UsageError("--param is for a converter, and there is none. Give --container IMAGE with it, or leave it out.")
        return None
    return Preprocessing(container=args.container, extra_params=parameters_of(args.parameters or ()) or None)


def parameters_of(words: Sequence[str]) -> dict[str, str]:
    """Return what a converter is told, from words `KEY=VALUE`; a value may be empty, and hold `=`.

    Raises
    ------
    UsageError
        A word is not of this form, or a key comes twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        name = name.strip().removeprefix("--")
        if not (name and sign):
            raise UsageError(f"--param needs KEY=VALUE, as in --param saveoption=single; {quoted(word)} is not of this form.")
        if name in found:
            raise UsageError(f"--param gives {quoted(name)} twice. Leave one of them out.")
        found[name] = value
    return found
