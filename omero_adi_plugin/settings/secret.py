# SPDX-License-Identifier: GPL-2.0-or-later
"""Secret: what must not be seen. Secrets that stand in files of their own, and how a database URL is shown."""

from __future__ import annotations

import re
from pathlib import Path

HIDDEN = "***"

SHOWN_PARAMETERS = frozenset({"host", "port", "dbname", "sslmode", "application_name", "connect_timeout", "target_session_attrs"})
"""Parameters of a database URL that are shown with their values; any other may be a password."""

# The password ends at the last @: one that was not written as %40 then hides too much, never too little.
_URL = re.compile(
    r"(?P<scheme>[a-z0-9+]+://)"
    r"(?:(?P<user>[^:@/?#]*)(?P<password>:.*)?@)?"
    r"(?P<place>(?:[^@?#:/\[\]]*|\[[0-9a-fA-F:.]+\])(?::\d*)?(?:/[^@?#:/]*)?)"
)


class SecretFileError(Exception):
    """The file that should hold a secret does not; the text says why, without the secret."""


def read_secret(path: str) -> str:
    """Return the content of a file that holds one secret and nothing else, without the newline at its end.

    Raises
    ------
    SecretFileError
        It cannot be read, or is empty.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise SecretFileError(error.strerror) from None
    except ValueError:  # a NUL in the path, or bytes that are no UTF-8: the message of that quotes the file
        raise SecretFileError("it is not in UTF-8") from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise SecretFileError("it is empty")
    return secret


def shown_url(url: str) -> str:
    """Return a database URL without what may be secret, as `postgresql://user:***@host:port/database`.

    A URL that is not of this form is hidden as a whole.
    """
    address, question, query = url.partition("?") if "@" not in url.partition("?")[2] else (url, "", "")
    parts = _URL.fullmatch(address)
    if parts is None:
        return HIDDEN
    login = "" if parts["user"] is None else f"{parts['user']}{':' + HIDDEN if parts['password'] else ''}@"
    return f"{parts['scheme']}{login}{parts['place']}{question}{'&'.join(map(_shown_parameter, query.split('&')))}"


def _shown_parameter(parameter: str) -> str:
    name, _, value = parameter.partition("=")
    return parameter if name in SHOWN_PARAMETERS or not value else f"{name}={HIDDEN}"
