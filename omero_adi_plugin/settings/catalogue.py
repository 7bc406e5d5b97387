# SPDX-License-Identifier: GPL-2.0-or-later
"""Catalogue: what is known of each setting besides its value. Commands, error messages and the documentation read it here."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import SecretStr

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings

PREFIX = "ADI_"
"""In the environment every setting can be called this and its name in capitals."""

FILE_SUFFIX = "_file"
"""A secret's name with this at its end, in capitals in the environment, names a file that holds the secret."""

EXAMPLE_URL = "postgresql://user:password@host:port/database"


@dataclass(frozen=True, slots=True)
class Known:
    """Names in the environment that older installations use for a setting: `first` goes over ours, `last` gives way to it."""

    first: str
    last: str | None = None


@dataclass(frozen=True, slots=True)
class NoEffectYet:
    """Marks a setting that is accepted and checked, so that files of the former importer can stay, but that changes nothing."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Says what the value of a setting must be, for a person, where its type does not tell."""

    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One setting.

    Parameters
    ----------
    name : str
        In the settings file and after `--set`.
    variables : tuple of str
        Names in the environment, the strongest first.
    secret : bool
        Its value is never shown, and can stand in a file of its own.
    mapping : bool
        Its value is a mapping: as YAML in the settings file, as JSON in the environment and after `--set`.
    effect : bool
        Whether it changes anything in this version.
    required : bool
        There is no default.
    default : object
        None: not set.
    expected : str
        What a value must be, for a person.
    description : str
        What it is for; says so if it has no effect yet.
    """

    name: str
    variables: tuple[str, ...]
    secret: bool
    mapping: bool
    effect: bool
    required: bool
    default: object
    expected: str
    description: str

    @property
    def both_names(self) -> str:
        """The name in the file and the first one in the environment, as messages have them."""
        return f"`{self.name}` ({self.variables[0]})"


@functools.cache
def catalogue(model: type[BaseSettings]) -> dict[str, Entry]:
    """Return what is known of the settings of a model, by name and in the model's order."""
    return {name: _entry(name, field) for name, field in model.model_fields.items()}


def _entry(name: str, field: FieldInfo) -> Entry:
    ours = f"{PREFIX}{name.upper()}"
    known = next((mark for mark in field.metadata if isinstance(mark, Known)), None)
    variables = (known.first, ours, known.last) if known else (ours,)
    effect = not any(isinstance(mark, NoEffectYet) for mark in field.metadata)
    description = field.description or ""
    required = field.is_required()
    return Entry(
        name=name,
        variables=tuple(variable for variable in variables if variable),
        secret=_type(field) is SecretStr,
        mapping=get_origin(_type(field)) is dict,
        effect=effect,
        required=required,
        default=None if required else field.default,
        expected=_expected(field),
        description=description if effect else f"No effect yet: {description[0].lower()}{description[1:]}",
    )


def _type(field: FieldInfo) -> Any:  # noqa: ANN401 (a type, or a special form of typing)
    """Return the type of a setting, without `None`, which only says that there may be no value."""
    kinds = get_args(field.annotation)
    return next(kind for kind in kinds if kind is not NoneType) if NoneType in kinds else field.annotation


def _expected(field: FieldInfo) -> str:
    kind = _type(field)
    said = next((mark.words for mark in field.metadata if isinstance(mark, Expected)), None)
    if said is not None:
        return said
    if get_origin(kind) is Literal:
        *others, last = map(str, get_args(kind))
        return f"{', '.join(others)} or {last}"
    words = {bool: "true or false", int: "a whole number", float: "a number", Path: "a path", str: "text", SecretStr: "text"}[
        kind
    ]
    least = _limit(field, "ge")
    most = _limit(field, "le")
    if most is not None:
        return f"{words} from {least} to {most}"
    return words if least is None else f"{words}, {least} or more"


def _limit(field: FieldInfo, which: str) -> object:
    return next((getattr(mark, which) for mark in field.metadata if hasattr(mark, which)), None)
