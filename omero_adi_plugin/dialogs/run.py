# SPDX-License-Identifier: GPL-2.0-or-later
"""Run: a dialog from its parameters to its message, whatever goes wrong.

A script that ends with status 1 is marked in OMERO.web as failed, and its `Message` is shown all the same (omero-web,
`webclient/views.py`, `activities`). Nothing is printed but the traceback of a bug: what a script prints becomes a file in OMERO.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from omero.model import ExperimenterGroupI
from omero.rtypes import robject, rstring

from omero_adi_plugin import logs
from omero_adi_plugin.dialogs.person import Person
from omero_adi_plugin.dialogs.wording import BUG, words_of
from omero_adi_plugin.errors import AdiError, ConfigurationError
from omero_adi_plugin.ice import TROUBLE, meaning, translated, words
from omero_adi_plugin.logs import event
from omero_adi_plugin.sessions import OmeroSession
from omero_adi_plugin.settings import Settings
from omero_adi_plugin.tracking.database import Database, read_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_log = logging.getLogger(__name__)

MESSAGE = "Message"
"""The output that every client shows when a script has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a script has to say at its end.

    message: for a person.
    good:    whether all that was wanted was done.
    texts, objects: further outputs by their names; objects of OMERO are shown as links.
    """

    message: str
    good: bool = True
    texts: Mapping[str, str] = field(default_factory=dict)
    objects: Mapping[str, Any] = field(default_factory=dict)


class Desk:
    """What a dialog works with.

    Attributes
    ----------
    settings : Settings
    database : Database
    session : OmeroSession
        That of the script: of whoever launched it.
    person : Person
    done : str
        What was done by now and stands, whatever comes.
    """

    def __init__(self, client: Any, *, settings: Settings, database: Database) -> None:  # noqa: ANN401 (untyped)
        self._client = client
        self.settings, self.database = settings, database
        self.session = _session(client)
        self.person = Person.of(self.session)
        self.done = ""

    def text(self, name: str) -> str:
        """Return a parameter as text without outer blanks, '' if it was not given."""
        return str(self.value(name) or "").strip()

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a parameter that is true or false."""
        value = self.value(name)
        return default if value is None else bool(value)

    def value(self, name: str) -> Any:  # noqa: ANN401 (of OMERO)
        """Return a parameter as a value of Python, None if it was not given."""
        return self._client.getInput(name, unwrap=True)

    def work_in(self, group_id: int) -> None:
        """Have the session work in another group of the person's.

        Raises
        ------
        OmeroDown, ConnectionBroken, ServerTrouble
            OMERO does not let it.
        """
        with translated("changing to the group of the target", self.session.where):
            self.session.factory.setSecurityContext(ExperimenterGroupI(group_id, False))  # noqa: FBT003 (not loaded)
        self.session.let_go()
        self.session = _session(self._client)

    def note(self, done: str) -> None:
        """Say what stands from now on, also if this process is ended in the next moment."""
        self.done = done
        self._client.setOutput(MESSAGE, rstring(done))


def run(client: Any, work: Callable[[Desk], Said]) -> bool:  # noqa: ANN401 (omero.client is untyped)
    """Do what a dialog asks for, and set the outputs of the script; never raises.

    Parameters
    ----------
    client : omero.client
        That of the script; not closed here.
    work : callable
        What is to be done; an `AdiError` of it is told as its message.

    Returns
    -------
    bool
        Whether all that was wanted was done.
    """
    secrets: list[str] = []
    with _without_logs(), contextlib.ExitStack() as tidying:
        desk: Desk | None = None
        try:
            desk = tidying.enter_context(_desk(client, secrets))
            said = work(desk)
        except AdiError as error:
            event(_log, logging.WARNING, "dialog.refused", kind=type(error).__name__, why=str(error))
            said = _failed(desk, error)
        except TROUBLE as error:
            event(_log, logging.WARNING, "dialog.broke", why=words(error))
            said = _failed(desk, meaning(error, "running this script", "OMERO"))
        except Exception as error:  # noqa: BLE001 (whatever else comes is a bug, and is shown as one)
            event(_log, logging.ERROR, "dialog.broke", error=error)
            sys.stderr.write(_without(secrets, traceback.format_exc()))
            said = _in_the_end(desk, BUG)
        return _tell(client, said)


def _failed(desk: Desk | None, error: AdiError) -> Said:
    return _in_the_end(desk, words_of(error, something_stands=bool(desk and desk.done)))


def _in_the_end(desk: Desk | None, trouble: str) -> Said:
    return Said(message=f"{desk.done if desk else ''} {trouble}".strip(), good=False)


def _tell(client: Any, said: Said) -> bool:  # noqa: ANN401 (as above)
    try:
        client.setOutput(MESSAGE, rstring(said.message))
        for name, text in said.texts.items():
            client.setOutput(name, rstring(text))
        for name, thing in said.objects.items():
            client.setOutput(name, robject(thing))
    except TROUBLE as error:
        sys.stderr.write(f"{said.message}\nOMERO could not be told that: {words(error)}\n")
        return False
    return said.good


@contextlib.contextmanager
def _desk(client: Any, secrets: list[str]) -> Iterator[Desk]:  # noqa: ANN401 (as above)
    settings = Settings.load()
    url = settings.ingest_tracking_db.get_secret_value()
    secrets += [url, read_url(url).password or "", settings.omero_password.get_secret_value()]
    _log_to_file(settings)
    with contextlib.closing(Database(url, name="adi script")) as database:
        desk = Desk(client, settings=settings, database=database)
        try:
            yield desk
        finally:
            desk.session.let_go()


def _session(client: Any) -> OmeroSession:  # noqa: ANN401 (as above)
    with translated("looking at the session of the script", "OMERO"):
        return OmeroSession(client, where="OMERO", idle_milliseconds=0)


@contextlib.contextmanager
def _without_logs() -> Iterator[None]:
    """Log to nowhere, until it is known to which file: stderr becomes a file in OMERO."""
    package = logging.getLogger("omero_adi_plugin")
    before = package.handlers, package.propagate, package.level
    package.handlers, package.propagate = [logging.NullHandler()], False
    try:
        yield
    finally:
        for handler in package.handlers:
            handler.close()
        package.handlers, package.propagate = before[:2]
        package.setLevel(before[2])


def _log_to_file(settings: Settings) -> None:
    """Log to the application log, if there is one and it can be written from here; nobody is refused because it cannot."""
    if settings.log_file_path is not None:
        with contextlib.suppress(ConfigurationError):
            logs.set_up(settings)


def _without(secrets: Sequence[str], text: str) -> str:
    """Return a traceback without what nobody may see, should a library have put it into its words."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "…")
    return text
