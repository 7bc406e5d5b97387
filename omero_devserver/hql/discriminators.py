# SPDX-License-Identifier: GPL-2.0-or-later
"""Discriminators: the texts behind `x.class`, from OMERO's Hibernate mapping of annotations ("/map/" was recorded)."""

DISCRIMINATORS = {
    "BooleanAnnotation": "/basic/bool/",
    "CommentAnnotation": "/basic/text/comment/",
    "DoubleAnnotation": "/basic/num/double/",
    "FileAnnotation": "/type/OriginalFile/",
    "ListAnnotation": "/list/",
    "LongAnnotation": "/basic/num/long/",
    "MapAnnotation": "/map/",
    "TagAnnotation": "/basic/text/tag/",
    "TermAnnotation": "/basic/term/",
    "TimestampAnnotation": "/basic/time/",
    "XmlAnnotation": "/basic/text/xml/",
}


def discriminator_sql(class_sql: str) -> str:
    """Turn the SQL of a class name into that of its discriminator."""
    cases = " ".join(f"WHEN '{name}' THEN '{text}'" for name, text in DISCRIMINATORS.items())
    return f"(CASE {class_sql} {cases} END)"
