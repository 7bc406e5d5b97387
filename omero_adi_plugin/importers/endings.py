# SPDX-License-Identifier: GPL-2.0-or-later
"""Endings: what the name of a file of a folder says of it. What it is say the readers; this is for where they cannot."""

from __future__ import annotations

from pathlib import PurePath

PIXELS = frozenset({".tif", ".tiff", ".jpg", ".jpeg", ".png", ".bmp", ".gif", ".jp2", ".raw"})
"""Files that hold nothing but pixels: a file beside them may say which of them belong together, and is opened before them."""

SURE_IMAGES = frozenset(
    {".tif", ".tiff", ".jpg", ".jpeg", ".png", ".bmp", ".gif", ".jp2", ".czi", ".lsm", ".zvi", ".lif", ".nd2", ".oib", ".oif"}
) | {".oir", ".vsi", ".svs", ".scn", ".ndpi", ".mrxs", ".ims", ".sld", ".stk", ".dv", ".r3d", ".dcm", ".flex", ".mvd2", ".ome"}
"""Endings that nothing but images has (Bio-Formats, table of supported formats): if no reader knows one, it has come to harm."""

NO_IMAGES = frozenset(
    {".txt", ".csv", ".tsv", ".xml", ".json", ".yml", ".yaml", ".ini", ".cfg", ".log", ".md", ".pdf", ".html", ".htm", ".rtf"}
) | {".doc", ".docx", ".xls", ".xlsx", ".odt", ".ods", ".ppt", ".pptx", ".py", ".ijm", ".zip"}
"""Endings of what lies beside images without being some."""


def ending_of(path: str) -> str:
    """Return the ending of a file's name, with its dot and in lower case; empty if there is none."""
    return PurePath(path).suffix.lower()
