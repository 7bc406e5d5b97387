# SPDX-License-Identifier: GPL-2.0-or-later
"""Base: what all errors of ours have in common, those of one process, and how a sentence quotes what others wrote."""

from __future__ import annotations

from typing import Any

LONGEST_PATH = 240
"""So many characters of a path a sentence has room for: what to do must not be cut off behind it."""


LONGEST_NAME = 60
"""So many characters of a name of a user, which anybody may have written into the order."""


MOST_IDS = 10
"""So many ids are named in a sentence."""


def quoted(text: str, *, length: int = LONGEST_PATH) -> str:
    """Return what others wrote, in quotes, fit for a sentence: what cannot be printed as escapes, without its middle when long.

    Parameters
    ----------
    text : str
        Perhaps nonsense, perhaps 10 MB of it.
    length : int
        How many characters may stand between the quotes.
    """
    head = tail = _printable(text[:length])
    if len(text) > length:
        tail = _printable(text[-length:])
    elif len(head) <= length:
        return f"'{head}'"
    return f"'{head[: length // 3]}…{tail[length // 3 + 1 - length :]}'"


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def _restore(kind: type[AdiError], arguments: tuple[Any, ...], facts: dict[str, Any]) -> AdiError:
    error = kind.__new__(kind, *arguments)
    Exception.__init__(error, *arguments)
    error.__dict__.update(facts)
    return error


class AdiError(Exception):
    """The root of all errors that this package raises on purpose; its text is one or two sentences for a person."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes: subclasses have keyword-only arguments, which plain pickling loses."""
        return _restore, (type(self), self.args, self.__dict__)


class UsageError(AdiError):
    """The command was called with arguments that make no sense."""


class OrderEnded(UsageError):
    """The order has ended, so it cannot be called off."""

    def __init__(self, *, uuid: str, state: str) -> None:
        super().__init__(f"Order '{uuid}' has ended ({state}), so there is nothing to cancel.")
        self.uuid, self.state = uuid, state


class NotPermitted(AdiError):
    """The account that runs the command may not do what was asked."""


class SessionOver(AdiError):
    """The session that an order was carried out in has ended, and nobody who carries it out may make another one."""

    def __init__(self) -> None:
        super().__init__(
            "OMERO has ended the session of the script that carried the order out. The order goes on in another one by itself."
        )


class LeaseLost(AdiError):
    """The lease on an order is gone: another worker has it now, so nothing more may be written."""

    def __init__(self, *, uuid: str) -> None:
        super().__init__(f"The lease on order '{uuid}' is gone: another worker has taken it over.")
        self.uuid = uuid
