# SPDX-License-Identifier: GPL-2.0-or-later
"""Names: which paths no import can keep, however good the file is.

Everything else goes through: spaces, quotes, `%`, `:`, newlines, both normal forms of Unicode. OMERO.server rewrites some
characters in its repository (facts recorded on a real server, section 1 "Names on disk"), and keeps the client path as it was.
"""

from __future__ import annotations

import re

from omero_adi_plugin.errors import NameImpossible
from omero_adi_plugin.tracking.ledger import LONGEST_KEY

LONGEST_NAME = 255
"""Bytes that one name may have: the limit of Linux' file systems (limits.h, NAME_MAX), so of OMERO's repository too."""

NO_TEXT = "it is no valid UTF-8, and neither OMERO nor the database of orders can hold it"

_RESERVED = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?", re.IGNORECASE | re.DOTALL)
"""Names that Windows keeps for itself: OMERO.server puts `_` in front of them (recorded), which makes them longer."""


def check_name(path: str) -> None:
    """Return if a path can be kept by OMERO, and by the database of orders.

    Raises
    ------
    NameImpossible
        With the reason.
    """
    if path.isascii() and len(path) <= LONGEST_NAME and "\0" not in path:
        return
    try:
        whole = path.encode()
    except UnicodeEncodeError as error:  # bytes of a name that are no UTF-8 come as lone surrogates (PEP 383)
        raise NameImpossible(path=path, why=NO_TEXT) from error
    if b"\0" in whole:
        raise NameImpossible(path=path, why="it has a NUL in it, which ends a name")
    for name, part in zip(path.split("/"), whole.split(b"/"), strict=True):
        longest = LONGEST_NAME - bool(_RESERVED.fullmatch(name))
        if len(part) > longest:
            raise NameImpossible(
                path=path, why=f"a name of {len(part)} bytes is longer than the {longest} that there is room for"
            )
    if len(whole) > LONGEST_KEY:
        raise NameImpossible(path=path, why=f"the whole path has {len(whole)} bytes, and there is room for {LONGEST_KEY}")
