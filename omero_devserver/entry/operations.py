# SPDX-License-Identifier: GPL-2.0-or-later
"""Operations: which of OMERO's interfaces, operations and requests are there, read from the code that answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import omero
import omero.all
import omero.cmd
import omero.grid

from omero_devserver.cmd.handle import Handle
from omero_devserver.cmd.work import known_requests
from omero_devserver.entry.catalogue import STATEFUL, STATELESS
from omero_devserver.entry.factory import ServiceFactory, offers
from omero_devserver.repository.managed import ManagedRepository
from omero_devserver.repository.process import ImportProcess
from omero_devserver.repository.tree import Tree
from omero_devserver.scripts.interactive import InteractiveProcessor
from omero_devserver.scripts.running import Process
from omero_devserver.scripts.script_process import ScriptProcess
from omero_devserver.wire.signatures import operations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HEADING = """\
# What is there

Written from the code that answers by `python -m omero_devserver --operations > omero_devserver/operations.md`; a test compares.
What every stateful service has (`activate`, `passivate`, `close`, `getCurrentEventContext`) is left out.

"""

OTHERS: dict[str, type] = {
    "omero.api.ServiceFactory": ServiceFactory,
    "omero.cmd.Handle": Handle,
    "omero.grid.ImportProcess": ImportProcess,
    "omero.grid.InteractiveProcessor": InteractiveProcessor,
    "omero.grid.ManagedRepository": ManagedRepository,
    "omero.grid.Process": Process,
    "omero.grid.Repository": Tree,
    "omero.grid.ScriptProcess": ScriptProcess,
}
"""What clients get otherwise than by name from the service factory."""

_EACH_STATEFUL_HAS = frozenset(operations(omero.api.StatefulServiceInterface))


def described() -> str:
    """Write a table in Markdown: a row for each interface, and one for the requests that can be submitted."""
    lines = ["| interface | there | | not there |", "| --- | --- | --- | --- |"]
    for name, implementation in sorted(_implementations().items()):
        interface = _find(name)
        names = sorted(set(operations(interface)) - (_EACH_STATEFUL_HAS if _is_stateful(interface) else set()))
        lines.append(_row(f"`{name}`", [one for one in names if _has(implementation, one)], names))
    for name in sorted(_without_service()):
        names = sorted(set(operations(_find(name))) - _EACH_STATEFUL_HAS)
        lines.append(_row(f"`{name}`", [], names))
    known = {one.__name__ for one in known_requests()}
    lines.append(_row("requests (`submit`)", sorted(known), sorted(known | set(_requests()))))
    return HEADING + "\n".join(lines) + "\n"


def _implementations() -> dict[str, Any]:
    return {**STATELESS, **{f"omero.api.{kind}": made for kind, made in STATEFUL.items()}, **OTHERS}


def _without_service() -> Iterator[str]:
    """Name the stateful services that the service factory could create, and of which nothing is there."""
    for operation in operations(omero.api.ServiceFactory):
        kind = operation.removeprefix("create").removesuffix("Service")
        if operation.startswith("create") and isinstance(getattr(omero.api, kind, None), type) and kind not in STATEFUL:
            yield f"omero.api.{kind}"


def _has(implementation: Any, operation: str) -> bool:
    return offers(operation) if implementation is ServiceFactory else hasattr(implementation, operation)


def _is_stateful(interface: type) -> bool:
    return issubclass(interface, omero.api.StatefulServiceInterface)


def _find(name: str) -> Any:
    _, module, short = name.split(".")
    return getattr(getattr(omero, module), short)


def _requests() -> Iterator[str]:
    """Name the concrete requests of OMERO's own."""
    for name in dir(omero.cmd):
        kind = getattr(omero.cmd, name)
        if isinstance(kind, type) and issubclass(kind, omero.cmd.Request) and not kind.__subclasses__():
            yield name


def _row(first: str, there: Sequence[str], names: Sequence[str]) -> str:
    missing = [one for one in names if one not in there]
    count = f"{len(there)} of {len(names)}"
    return f"| {first} | {', '.join(there)} | {count} | {', '.join(missing)} |"
