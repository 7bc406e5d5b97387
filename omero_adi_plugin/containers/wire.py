# SPDX-License-Identifier: GPL-2.0-or-later
"""Wire: requests to podman's socket by podman-py. Loaded when the first one is made: most processes of ours never make any.

Whatever podman-py, requests and urllib3 raise ends here, and is `Lost` outside.
"""

from __future__ import annotations

import contextlib
import http.client
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import urllib3.exceptions
from podman.api.client import APIClient
from podman.api.uds import UDSConnection, UDSConnectionPool, UDSSocket
from podman.errors import PodmanError

from omero_adi_plugin.containers.engine import Answer, Lost

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONNECT_SECONDS = 5.0

_TROUBLE = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError, PodmanError, ValueError)
"""What a request may raise: the errors of requests and podman-py are OSErrors; the others come while a response is read."""


class _Connection(UDSConnection):
    """Podman-py's, which closes its socket also when nobody listens any more."""

    def connect(self) -> None:
        """Connect it."""
        made = UDSSocket(self.uds)
        try:
            made.settimeout(self.timeout)
            made.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            made.close()
            raise
        self.sock = made


UDSConnectionPool.ConnectionCls = _Connection


def request(address: Path, method: str, path: str, *, parameters: Mapping[str, object], body: object, seconds: float) -> Answer:
    """Make one request, on a connection of its own; see `Engine.ask`.

    Raises
    ------
    Lost
        It came to nothing.
    """
    # quoted here, because podman-py would make a plus of a blank, and look for that
    with contextlib.closing(APIClient(base_url=f"unix://{quote(str(address), safe='')}")) as client:
        try:
            response = client._request(  # noqa: SLF001 (its get, post and delete do nothing else)
                method,
                path,
                params=parameters,
                data=None if body is None else json.dumps(body),
                timeout=(CONNECT_SECONDS, seconds),
            )
            return Answer(response.status_code, bytes(response.content))
        except _TROUBLE as error:
            raise Lost(_words(error)) from error


def _words(error: BaseException) -> str:
    """Return what an error says; podman-py hides what happened behind the address that it had asked."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__
