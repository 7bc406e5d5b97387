# SPDX-License-Identifier: GPL-2.0-or-later
"""Logs: one line an event, as `key=value` facts that people and machines can read.

error: a person must act. warning: something went wrong and we coped. info: one line per order and per fileset. debug: the rest.
All processes of a host append to one application log; services, and scripts at their end, put it aside (`rotate`). While an
order is carried out, its lines also go to the two logs of the order beside it (`order_logs`).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import sys
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from typing import TYPE_CHECKING

from omero_adi_plugin.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from omero_adi_plugin.settings import Settings

LARGEST_BYTES = 50 * 2**20
"""Size at which the application log is put aside."""

KEPT = 5
"""How many logs that were put aside are kept."""

_ROOT = logging.getLogger("omero_adi_plugin")

_ORDER_ALONE = "order_alone"
"""Mark of a record that is not for the application log."""


def event(log: logging.Logger, level: int, name: str, /, **facts: object) -> None:
    """Write one event.

    Parameters
    ----------
    log : logging.Logger
        The logger of the module that speaks.
    level : int
        A level of `logging`.
    name : str
        What happened, as `thing.verb`: `order.completed`, `fileset.imported`.
    facts
        Whatever tells more, with the unit in the name; None is left out. `error`, an exception, adds its traceback at level
        ERROR.
    """
    failure = facts.get("error")
    traceback = failure if isinstance(failure, BaseException) and level >= logging.ERROR else None
    log.log(level, name, extra={"facts": facts}, exc_info=traceback)


def order_event(log: logging.Logger, level: int, name: str, /, **facts: object) -> None:
    """Write one event as `event` does, but only into the logs of the order that is carried out (`order_logs`).

    For what only those want to know who look after that order: the application log would grow by it without end.
    """
    log.log(level, name, extra={"facts": facts, _ORDER_ALONE: True})


def _concerns_all(record: logging.LogRecord) -> bool:
    return not hasattr(record, _ORDER_ALONE)


class FactsFormatter(logging.Formatter):
    """Makes `timestamp=… level=… event=… key=value …` of a record; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        timestamp = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        facts = {"timestamp": timestamp, "level": record.levelname.lower(), "event": record.getMessage(), "pid": record.process}
        facts |= getattr(record, "facts", {})
        line = " ".join(f"{key}={_value(value)}" for key, value in facts.items() if value is not None)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _value(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    if text and text.isprintable() and not set(text) & set(' "='):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())  # what others wrote must not steer a terminal that shows it


class _Forgiving(logging.FileHandler):
    """A log that says on stderr that it cannot be written, and lets the work go on: its folder is gone, the disk is full."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # from opening the file anew; what the writing itself raises is seen to by logging
            self.handleError(record)


class _ApplicationLog(_Forgiving, WatchedFileHandler):
    """Opened anew when another process has put the file aside."""


class _OrderLog(_Forgiving):
    """One of the two logs of an order."""


def set_up(settings: Settings) -> None:
    """Send the log of this process to the application log, or to stderr if none is set.

    Raises
    ------
    ConfigurationError
        The file cannot be written.
    """
    handler: logging.Handler
    if settings.log_file_path is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        try:
            settings.log_file_path.parent.mkdir(parents=True, exist_ok=True)
            handler = _ApplicationLog(settings.log_file_path, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise ConfigurationError(f"The log '{settings.log_file_path}' cannot be written: {error.strerror}.") from error
    handler.setFormatter(FactsFormatter())
    handler.addFilter(_concerns_all)
    _ROOT.handlers = [handler]
    _ROOT.setLevel(settings.log_level)
    _ROOT.propagate = False


def rotate(settings: Settings) -> None:
    """Put the application log aside if it has grown too large; the other processes notice by themselves."""
    log = settings.log_file_path
    try:
        if log is None or not log.exists() or log.stat().st_size < LARGEST_BYTES:
            return
        with log.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # scripts on a host without a service do this, too, and there are several
            if not os.path.samestat(os.fstat(held.fileno()), log.stat()):
                return  # somebody else has just done it
            _put_aside(log)
    except OSError as error:
        event(_ROOT, logging.WARNING, "log.not_put_aside", why=error.strerror)


def _put_aside(log: Path) -> None:
    for number in range(KEPT - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    log.replace(log.with_name(f"{log.name}.1"))


@contextlib.contextmanager
def order_logs(settings: Settings, *, uuid: str) -> Iterator[None]:
    """Also write what is logged meanwhile to `cli.<uuid>.logs`, and warnings and errors to `cli.<uuid>.errs`.

    The files lie beside the application log and are appended to; without an application log there are none. `uuid` must
    have been checked to be harmless in a path. A log that cannot be opened is said once and does not stop the order.
    """
    if settings.log_file_path is None:
        yield
        return
    opened: list[logging.Handler] = []
    try:
        for ending, level in (("logs", logging.DEBUG), ("errs", logging.WARNING)):
            path = settings.log_file_path.with_name(f"cli.{uuid}.{ending}")
            handler = _OrderLog(path, encoding="utf-8", errors="backslashreplace", delay=level > logging.DEBUG)
            handler.setLevel(level)
            handler.setFormatter(FactsFormatter())
            opened.append(handler)
            _ROOT.addHandler(handler)
    except OSError as error:
        event(_ROOT, logging.WARNING, "log.unwritable", order=uuid, why=error.strerror)
    try:
        yield
    finally:
        for each in opened:
            _ROOT.removeHandler(each)
            each.close()
