# SPDX-License-Identifier: GPL-2.0-or-later
"""Submit: order an import, as a producer does, or order and claim it in one step, for a command that does the work itself.

What cannot be an order is refused here, before anything is written; an order that was written is one that a service can read.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import insert, inspect
from sqlalchemy.exc import ProgrammingError

from omero_adi_plugin.errors import OrderMalformed, UsageError
from omero_adi_plugin.orders import Claim, Lease, OrderText
from omero_adi_plugin.preprocessing import PreprocessingText
from omero_adi_plugin.tracking import audit
from omero_adi_plugin.tracking.contract import Preprocessing
from omero_adi_plugin.tracking.pausing import raise_if_paused
from omero_adi_plugin.tracking.sql import statements
from omero_adi_plugin.tracking.tables import Action

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.engine import Connection

    from omero_adi_plugin.orders import Order, Target
    from omero_adi_plugin.tracking.database import Database
    from omero_adi_plugin.tracking.queue import Queue

_ASKED = ("container", "input_file", "output_folder", "alt_output_folder", "extra_params")
"""What a producer says of preprocessing: all columns but the id."""

HIGHEST_PRIORITY = 100
"""The highest priority; the lowest is as far below 0, which every order has of itself."""

_SQL = statements("submit.sql")
_QUEUE = statements("queue.sql")
_INTAKE = statements("intake.sql")


def submit_order(
    database: Database,
    *,
    user: str,
    group: str,
    target: Target,
    files: Sequence[str | os.PathLike[str]],
    file_names: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    uuid: str | None = None,
    who: str | None = None,
    skip_existing: bool = False,
    priority: int = 0,
) -> str:
    """Order an import.

    Parameters
    ----------
    database : Database
        With the shared tables in it; ours need not be there.
    user, group : str
        OMERO login and group name.
    target : Target
        Existing Dataset or Screen.
    files : sequence of str or path
        Absolute paths of files or directories.
    file_names : sequence of str, optional
        A name for each, or none at all.
    preprocessing : Preprocessing, optional
        What a container is to make of the files first. It is read, not kept: the same one may serve for many orders.
    uuid : str, optional
        Of the order; that of an earlier order runs it again. None: a new one.
    who : str, optional
        Who is at the terminal, for our record of actions, if the account may write it.
    skip_existing : bool
        Leave files alone that the target already holds. That needs our own tables, and the right to write into them.
    priority : int
        Orders of a higher one are begun first, whosever they are; -100 to 100. Other than 0 it needs what `skip_existing` needs.

    Returns
    -------
    str
        The uuid of the order.

    Raises
    ------
    UsageError
        Something of it can be no order; nothing was written.
    DatabaseDown
        PostgreSQL is not there. When the connection broke at the very end, the order may be there nevertheless.
    """
    asked = None if preprocessing is None else _asked(preprocessing)
    text = _text(user, group, target, files, file_names, uuid, asked=asked)
    if not -HIGHEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise _refused(f"the priority is {priority}, not from {-HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}")
    with database.begin() as connection:
        imports_id, text = _append(connection, text, asked)
        if skip_existing or priority:
            _queue(connection, text, imports_id, skip_existing=skip_existing, priority=priority)
        if who is not None:
            _note(connection, who, text.uuid)
    return text.uuid


def order_of(*, user: str, group: str, target: Target, files: Sequence[str], preprocessing: Preprocessing | None = None) -> Order:
    """Return the order that these words would make; nothing is ordered.

    Raises
    ------
    UsageError
        Something of it can be no order.
    """
    asked = None if preprocessing is None else _asked(preprocessing)
    return _text(user, group, target, files, (), None, asked=asked).read()


def submit_claimed(
    database: Database,
    queue: Queue,
    *,
    user: str,
    group: str,
    target: Target,
    files: Sequence[str],
    file_names: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    uuid: str | None = None,
    who: str | None = None,
    skip_existing: bool = False,
    owner: str,
) -> Claim:
    """Order an import that the caller carries out itself: the order appears with a lease on it, and no service takes it.

    Parameters
    ----------
    database, user, group, target, files, file_names, preprocessing, uuid, who, skip_existing
        As for `submit_order`.
    queue : Queue
        Says how long the lease is; the caller must extend it, and ask for room before it imports (`Queue.widen`).
    owner : str
        ``host:pid`` of the caller.

    Raises
    ------
    UsageError
        Something of it can be no order, or that order is just now being carried out.
    ImportsPaused
        Somebody has paused all imports; nothing is ordered.
    DatabaseDown
        PostgreSQL is not there.
    """
    asked = None if preprocessing is None else _asked(preprocessing)
    text = _text(user, group, target, files, file_names, uuid, asked=asked)
    begun = time.monotonic()
    with database.begin() as connection:
        connection.execute(_QUEUE["one_by_one"])
        raise_if_paused(connection)
        imports_id, text = _append(connection, text, asked)
        connection.execute(_SQL["drop_event"], {"uuid": text.uuid})  # before the queue's row, as intake locks them
        values = {**_queued(connection, text, imports_id, skip_existing=skip_existing), "owner": owner}
        values["lease_seconds"] = queue.lease_seconds
        row = connection.execute(_SQL["claim"], values).one_or_none()
        if row is None:
            raise _running(text)
        lease = Lease(order=text.uuid, owner=owner, token=row.lease_token, attempt=row.attempt, until=row.lease_until)
        again = f"Attempt {lease.attempt}: ordered again" if lease.attempt > 1 else None
        if who is not None:
            _note(connection, who, text.uuid)
        audit.begin_attempt(connection, lease, imports_id=imports_id, description=again)
    return Claim(lease=lease, text=text, failures=0, skip_existing=skip_existing, places=0, asked=begun)


def _queue(connection: Connection, text: OrderText, imports_id: int, *, skip_existing: bool, priority: int) -> None:
    """Let an order wait in the queue that wants something which its row in `imports` has no room for."""
    connection.execute(_SQL["drop_event"], {"uuid": text.uuid})  # before the queue's row, as intake locks them
    values = {**_queued(connection, text, imports_id, skip_existing=skip_existing), "priority": priority}
    if connection.execute(_SQL["wait"], values).one_or_none() is None:
        raise _running(text)
    connection.execute(_QUEUE["wake_claimers"])


def _queued(connection: Connection, text: OrderText, imports_id: int, *, skip_existing: bool) -> dict[str, object]:
    """Return what the queue's row of an order that was just written has to say."""
    return {
        "uuid": text.uuid,
        "imports_id": imports_id,
        "user": text.user,
        "group": text.group,
        "skip_existing": skip_existing,
        "earlier": connection.execute(_INTAKE["attempts_before"], {"imports_id": imports_id}).scalar_one(),
    }


def _running(text: OrderText) -> UsageError:
    return UsageError(f"The order '{text.uuid}' is running. Wait for its end, or order with another uuid.")


def _text(
    user: str,
    group: str,
    target: Target,
    files: Sequence[str | os.PathLike[str]],
    file_names: Sequence[str],
    uuid: str | None,
    *,
    asked: Mapping[str, Any] | None,
) -> OrderText:
    """Return the row of an order, which is one that a service can read; else raise `UsageError`."""
    given = _listed(files, what="files")
    paths = _texts([os.fspath(path) if isinstance(path, os.PathLike) else path for path in given], what="files")
    names = _texts(_listed(file_names, what="file_names"), what="file_names")
    if names and len(names) != len(paths):
        raise _refused(f"`file_names` has {len(names)} names for {len(paths)} files. Give one for each, or none")
    text = OrderText(
        uuid=str(uuid4()) if uuid is None else _storable(uuid, what="uuid"),
        user=_storable(user, what="user"),
        group=_storable(group, what="group"),
        destination_type=target.kind.value,
        destination_id=str(target.id),
        files=json.dumps(paths),
        file_names=json.dumps(names) if names else None,
        preprocessing=None if asked is None else _preprocessing_text(asked),
    )
    try:
        text.read()
    except OrderMalformed as error:
        raise _refused(error.problem) from error
    return text


def _asked(preprocessing: Preprocessing) -> dict[str, Any]:
    """Return what is asked for by column, without what was left out; raise `UsageError` when it cannot be stored or done."""
    if not isinstance(preprocessing, Preprocessing):
        raise _refused("`preprocessing` is no Preprocessing. Write Preprocessing(container='…', extra_params={…})")
    state = inspect(preprocessing)
    # of an object that was read from a database, what is not at hand is there; of a new one it was left out
    asked = {name: getattr(preprocessing, name) for name in _ASKED if state.has_identity or name in state.dict}
    for name, value in {"container": "", **asked}.items():
        if name == "extra_params":
            _check_parameters({} if value is None else value)
        elif name == "alt_output_folder" and value is None:
            continue  # the converter writes to no second folder
        elif not _storable(value, what=name).strip():
            raise _refused(f"`{name}` of the preprocessing is empty")
    return asked


def _preprocessing_text(asked: Mapping[str, Any]) -> PreprocessingText:
    """Return the row that it becomes: the model has the usual values of what is not asked for."""
    usual = {name: Preprocessing.__table__.c[name].default.arg for name in ("input_file", "output_folder", "alt_output_folder")}
    parameters = asked.get("extra_params")
    return PreprocessingText(
        id=0,
        **{"container": asked["container"], **usual, **{name: asked[name] for name in usual.keys() & asked.keys()}},
        extra_params=None if parameters is None else json.dumps(parameters),
    )


def _check_parameters(parameters: Mapping[str, Any]) -> None:
    if not hasattr(parameters, "items"):
        raise _refused("`extra_params` is no dict of names and values")
    for name, value in parameters.items():
        _storable(name, what="extra_params")
        if isinstance(value, str):
            _storable(value, what="extra_params")
    try:
        json.dumps(parameters, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise _refused(f"`extra_params` holds something that JSON has no word for ({error})") from error


def _listed(values: Sequence[Any], *, what: str) -> list[Any]:
    if isinstance(values, str | bytes | os.PathLike):
        raise _refused(f"`{what}` is a single {type(values).__name__}, not a list. Write [{str(values)!r}]")
    return list(values)


def _texts(values: Sequence[Any], *, what: str) -> list[str]:
    return [_storable(value, what=what) for value in values]


def _storable(value: Any, *, what: str) -> str:  # noqa: ANN401 (callers need not be type-checked)
    """Return a text as it is if PostgreSQL can hold it; else raise `UsageError`."""
    if not isinstance(value, str):
        raise _refused(f"`{what}` holds {value!r:.80}, which is no text")
    if audit.storable(value) != value:
        raise _refused(f"{value!r:.80} in `{what}` has characters that are no text (NUL, or bytes that are no UTF-8). Rename it")
    return value


def _refused(problem: str) -> UsageError:
    return UsageError(f"Nothing was ordered: {problem}.")


def _append_preprocessing(connection: Connection, asked: Mapping[str, Any]) -> int:
    """Append what a container is to do; the model has the usual values of what is not asked for."""
    return connection.execute(insert(Preprocessing).values(**asked).returning(Preprocessing.id)).scalar_one()


def _note(connection: Connection, who: str, uuid: str) -> None:
    """Note who ordered, where that can be noted: a producer's account has no right to, and the order counts all the same."""
    with contextlib.suppress(ProgrammingError), connection.begin_nested():
        audit.act(connection, Action.ORDERED, who=who, uuid=uuid)


def _append(connection: Connection, text: OrderText, asked: Mapping[str, Any] | None) -> tuple[int, OrderText]:
    """Append an order's first row, and that of its preprocessing; return the former's id, and the order with the latter's."""
    preprocessing_id = None if asked is None else _append_preprocessing(connection, asked)
    values = {
        "uuid": text.uuid,
        "user": text.user,
        "group": text.group,
        "destination_type": text.destination_type,
        "destination_id": text.destination_id,
        "files": text.files,
        "file_names": text.file_names,
        "preprocessing_id": preprocessing_id,
    }
    if text.preprocessing is not None and preprocessing_id is not None:
        text = replace(text, preprocessing=replace(text.preprocessing, id=preprocessing_id))
    return int(connection.execute(_SQL["append"], values).scalar_one()), text
