# SPDX-License-Identifier: GPL-2.0-or-later
"""Definitions: the classes and sequences of OMERO's Slice files, as omero-py's generated modules state them.

IcePy keeps the type of a class's member where Python cannot ask for it. The generated modules hand it to IcePy in calls
of `defineClass` and `defineSequence`, so those calls are parsed, not executed. (Only those: to parse the whole of 170
modules would take most of a second at each start.)
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import omero


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceClass:
    """One class: `base` is its parent or None, `members` its own members with the names of their types, in order."""

    name: str
    base: str | None
    members: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """What the generated modules define: classes by name, and the element type of each sequence by its name."""

    classes: Mapping[str, SliceClass]
    sequences: Mapping[str, str]


def read_definitions() -> Definitions:
    """Read the definitions of the OMERO model from the installed omero-py.

    Returns
    -------
    Definitions
        All classes of ``::omero::model`` and all sequences of ``::omero::model`` and ``::omero::api``.
    """
    folder = Path(omero.__file__).resolve().parent.parent
    classes: dict[str, SliceClass] = {}
    sequences: dict[str, str] = {}
    for path in [*sorted(folder.glob("omero_model_*_ice.py")), folder / "omero_Collections_ice.py"]:
        for name, arguments in _ice_definitions(path):
            scope, _, short = str(ast.literal_eval(arguments[0])).rpartition("::")
            if name == "defineClass" and scope == "::omero::model":
                found = _class(short, arguments)
                classes[short] = found
            elif name == "defineSequence":
                sequences[short] = _type_name(arguments[2])
    return Definitions(classes=classes, sequences=sequences)


def _ice_definitions(path: Path) -> Iterator[tuple[str, list[ast.expr]]]:
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    for line in lines:
        _, found, statement = line.partition(" = IcePy.")
        if not found or not statement.startswith(("defineClass(", "defineSequence(")):
            continue
        while statement.count("(") > statement.count(")"):
            statement += next(lines)
        call = ast.parse(statement, mode="eval").body
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            yield call.func.id, call.args


def _class(name: str, arguments: list[ast.expr]) -> SliceClass:
    # IcePy.defineClass(id, class, compact id, metadata, abstract, preserve, base, interfaces, members)
    base, members = arguments[6], arguments[8]
    if not isinstance(members, ast.Tuple):
        raise TypeError(f"omero-py's definition of {name} is not laid out as expected.")
    own = {}
    for member in members.elts:
        if not isinstance(member, ast.Tuple):
            raise TypeError(f"omero-py's definition of {name} is not laid out as expected.")
        own[str(ast.literal_eval(member.elts[0])).removeprefix("_")] = _type_name(member.elts[2])
    return SliceClass(name=name, base=None if isinstance(base, ast.Constant) else _type_name(base), members=own)


def _type_name(expression: ast.expr) -> str:
    if not isinstance(expression, ast.Attribute):
        raise TypeError(f"A type of omero-py's definitions is not laid out as expected: {ast.dump(expression)}")
    return expression.attr.removeprefix("_t_")
