# SPDX-License-Identifier: GPL-2.0-or-later
"""Signatures: what each operation of OMERO's interfaces returns, read from omero-py's generated code.

IcePy does not tell them at run time, and it ends the interpreter when an asynchronous answer has the wrong number of
results. So they are read once from the generated modules: every line ``X._op_y = IcePy.Operation(…)``.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import omero

# Positions in the argument list of IcePy.Operation, Ice 3.6.
_ASYNCHRONOUS, _OUT_PARAMETERS, _RESULT = 3, 7, 8

_STRINGS = {"IcePy._t_string"}
_INTEGERS = {"IcePy._t_long", "IcePy._t_int", "IcePy._t_short"}
_TRUTHS = {"IcePy._t_bool"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How one operation is answered.

    asynchronous: the servant's method is `NAME_async` and answers through a callback (Ice calls it AMD).
    result:       the name of the result's type in the generated code, None for void.
    declaration:  the expression of the generated code that declares the operation, in `module`.
    """

    asynchronous: bool
    result: str | None
    declaration: str
    module: str

    def accepts(self, value: object) -> bool:
        """Tell whether `value` can be sent as the result; checks what is cheap: texts, numbers, RTypes."""
        if self.result is None:
            return value is None
        if self.result in _STRINGS:
            return value is None or isinstance(value, str)
        if self.result in _INTEGERS:
            return isinstance(value, int)
        if self.result in _TRUTHS:
            return isinstance(value, bool)
        kind = getattr(omero, self.result.rsplit("_t_", 1)[-1], None)
        if isinstance(kind, type) and issubclass(kind, omero.RType):
            return value is None or isinstance(value, kind)
        return True


def signature(interface: type, operation: str) -> Signature:
    """Look an operation up, in the interface itself and then in those it extends.

    Parameters
    ----------
    interface : type
        A generated servant class, as ``omero.api.IQuery``.
    operation : str
        Name as in the Slice definition.

    Returns
    -------
    Signature
        Of the nearest declaration.

    Raises
    ------
    LookupError
        No interface of that kind declares the operation.
    """
    for base in interface.__mro__:
        found = _all().get((base.__module__, base.__name__, operation))
        if found is not None:
            return found
    raise LookupError(f"{interface.__name__} has no operation {operation}")


def asynchronous_twin(interface: type, operation: str) -> Any:
    """Declare an operation again, as one that is answered through a callback.

    Which of the two it is concerns only the servant, and is nowhere on the wire: a class derived from `interface` that has
    the twin as `_op_NAME` is called as `NAME_async`.

    Parameters
    ----------
    interface : type
        A generated servant class.
    operation : str
        Name as in the Slice definition.

    Returns
    -------
    IcePy.Operation
        To be an attribute of the derived class.
    """
    found = signature(interface, operation)
    declaration: Any = ast.parse(found.declaration, mode="eval")
    declaration.body.args[_ASYNCHRONOUS].value = True
    # The text is that of the installed generated code, which is executed at every import anyway.
    return eval(compile(declaration, found.module, "eval"), vars(sys.modules[found.module]))  # noqa: S307


def operations(interface: type) -> list[str]:
    """List the operations of a generated servant class, without those of every Ice object."""
    names = (name.removeprefix("_op_") for name in dir(interface) if name.startswith("_op_"))
    return [name for name in names if not name.startswith("ice_")]


@cache
def _all() -> dict[tuple[str, str, str], Signature]:
    # Ice replaces the module objects of `Glacier2` and others by its own, which do not know their files.
    origins = [spec.origin for name in ("Glacier2_Session_ice", "omero_API_ice") if (spec := find_spec(name)) is not None]
    folders = {Path(origin).parent for origin in origins if origin is not None}
    files = {path for folder in folders for path in folder.glob("*_ice.py") if not path.name.startswith("omero_model_")}
    return {key: value for path in sorted(files) for key, value in _of_module(path)}


def _of_module(path: Path) -> list[tuple[tuple[str, str, str], Signature]]:
    found = []
    module = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("__name__ = "):
            module = line.split("'")[1]
        name, separator, _ = line.strip().partition(" = IcePy.Operation(")
        if not separator:
            continue
        interface, _, operation = name.partition("._op_")
        found.append(((module, interface, operation), _signature(line.strip().partition(" = ")[2], path.stem)))
    return found


def _signature(declaration: str, module: str) -> Signature:
    call: Any = ast.parse(declaration, mode="eval").body
    result = call.args[_RESULT]
    kind = ast.unparse(result.elts[1]) if isinstance(result, ast.Tuple) and result.elts else None
    if call.args[_OUT_PARAMETERS].elts:
        # None of OMERO's interfaces has one; an answer with several values would need another kind of servant.
        kind = "several"
    return Signature(asynchronous=call.args[_ASYNCHRONOUS].value, result=kind, declaration=declaration, module=module)
