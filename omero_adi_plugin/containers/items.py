# SPDX-License-Identifier: GPL-2.0-or-later
"""Items: what a converter says of each output, in the last line of its output (contract, part 6).

That line may be anything. It is a list of items if it is JSON, an array of objects or one object, and at least one of them names
a path; an empty array says that nothing was made. Any other line, JSON or not, says nothing of outputs.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.errors import quoted
from omero_adi_plugin.logs import order_event
from omero_adi_plugin.preprocessing import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_ITEMS = 100_000
"""So many outputs a converter may name for one source."""

MOST_PAIRS = 1000
"""So many key-values of one item are used, as of a `metadata.csv`: OMERO.web shows all of them at once, on each image."""

LONGEST_VALUE = 64 * 1024
"""So many characters of a value are used: each image of the item would carry it."""

LONGEST_KEY = 200
"""So many characters of a key: OMERO has room for 255 (NamedValue, column `name`), and a prefix comes before it."""

LONGEST_TITLE = 255
"""So many characters of a name: OMERO has room for no more (columns `name` of Image and Plate)."""

LONGEST_SHOWN = 80

_PATHS = ("full_path", "alt_path")

_MOST_DIGITS = 4000
"""Python makes no number of more digits (sys.set_int_max_str_digits); they stay a text, which is what is wanted of them."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Control characters (Unicode's Cc) but tab and the ends of lines."""

_LINES = re.compile(r"[\t\r\n]+")

_log = logging.getLogger(__name__)


class BadItems(Exception):
    """The line is a list of items, and a wrong one; the text is a clause that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What a converter says of one output.

    name:      what the images are to be called; None: as the file.
    full_path: its path in the container below `.processed`, as far as the converter is right.
    alt_path:  its path below the alternative output folder.
    keyvalues: each a key and a text; a key may come several times.
    """

    name: str | None
    full_path: str | None
    alt_path: str | None
    keyvalues: tuple[tuple[str, str], ...] = ()


def parse_items(line: str | None) -> tuple[Item, ...] | None:
    """Return the items that a line lists.

    Parameters
    ----------
    line : str or None
        The last line of stdout that is not empty; None: there was none.

    Returns
    -------
    tuple of Item, or None
        None: the line is no list of items.

    Raises
    ------
    BadItems
        It is one, and is wrong.
    """
    if line is None or not line.strip().startswith(("[", "{")):
        return None
    value = _json(line)
    if value == []:
        return ()
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in listed) or not any(path in each for each in listed for path in _PATHS):
        return None
    if len(listed) > MOST_ITEMS:
        raise BadItems(f"it lists {len(listed)} outputs, and {MOST_ITEMS} is the most")
    return tuple(_item(each, number=number) for number, each in enumerate(listed, start=1))


def _json(line: str) -> Any:  # noqa: ANN401 (whatever a converter has written)
    """Return what a line says, None if it is not JSON; raises BadItems if it was to be a list of items, and is not JSON."""
    try:
        return json.loads(line, parse_int=_number)
    except (ValueError, RecursionError) as error:
        if any(f'"{path}"' in line for path in _PATHS):
            why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise BadItems(f"its last line names outputs and is not valid JSON ({why})") from error
        return None


def _number(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


def _item(value: dict[str, Any], *, number: int) -> Item:
    full_path, alt_path = (_path(value.get(name), name=name, number=number) for name in _PATHS)
    if full_path is None and alt_path is None:
        raise BadItems(f"item {number} has neither `full_path` nor `alt_path`")
    return Item(
        name=_title(value.get("name"), number=number),
        full_path=full_path,
        alt_path=alt_path,
        keyvalues=_keyvalues(value.get("keyvalues"), number=number),
    )


def _path(value: object, *, name: str, number: int) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise BadItems(f"`{name}` of item {number} is {_shown(value, number)}, not a path")
    return value


def _title(value: object, *, number: int) -> str | None:
    text = "" if value is None else _text(value, number=number)
    return _shortened(_LINES.sub(" ", text).strip(), LONGEST_TITLE) or None  # a name is one line


def _keyvalues(value: object, *, number: int) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    parts = value if isinstance(value, list) else [value]
    pairs: list[tuple[str, str]] = []
    for part in parts:
        if part is None:
            continue
        if not isinstance(part, dict):
            raise BadItems(f"`keyvalues` of item {number} has {_shown(part, number)} in it, not keys with their values")
        pairs.extend(_pairs(part, number=number))
    if len(pairs) > MOST_PAIRS:
        order_event(_log, logging.WARNING, "converter.keyvalues_left_out", item=number, used=MOST_PAIRS, of=len(pairs))
    return tuple(pairs[:MOST_PAIRS])


def _pairs(part: dict[str, Any], *, number: int) -> Iterator[tuple[str, str]]:
    for key, value in part.items():
        name = _shortened(_cleaned(key).strip(), LONGEST_KEY)
        if not name:
            order_event(_log, logging.WARNING, "converter.keyvalue_without_key", item=number)
            continue
        for each in value if isinstance(value, list) else [value]:
            text = _text(each, number=number)
            if len(text) > LONGEST_VALUE:
                order_event(_log, logging.WARNING, "converter.value_shortened", item=number, key=name, characters=len(text))
            yield name, _shortened(text, LONGEST_VALUE)


def _text(value: object, *, number: int) -> str:
    try:
        return _cleaned(text_of(value))
    except RecursionError as error:
        raise BadItems(f"item {number} is nested too deeply") from error


def _shown(value: object, number: int) -> str:
    return quoted(_text(value, number=number), length=LONGEST_SHOWN)


def _cleaned(text: str) -> str:
    """Return a text that OMERO and PostgreSQL can hold: no NUL, nothing that UTF-8 does not have, no control characters."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # halves that belong together become one
    return _CONTROL.sub("\ufffd", whole)


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
