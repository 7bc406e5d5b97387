# SPDX-License-Identifier: GPL-2.0-or-later
"""Wire: requests to podman's socket by podman-py. Loaded when the first one is made: most processes of ours never make any.

Whatever podman-py, requests and urllib3 raise ends here, and is `Lost` outside.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from typing import TYPE_CHECKING

import urllib3.exceptions
from podman.api.client import APIClient
from podman.errors import PodmanError

from omero_adi_plugin.containers.engine import Lost

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from podman.api.client import APIResponse

CONNECT_SECONDS = 5.0

_TROUBLE = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError, PodmanError, ValueError)
"""What a request may raise: the errors of requests and podman-py are OSErrors; the others come while a response is read."""

_PIECE = 1 << 16


class WiredResponse:
    """What podman answers, while it does. status: of HTTP."""

    def __init__(self, response: APIResponse) -> None:
        self._response = response
        self.status: int = response.status_code

    def read(self) -> bytes:
        """Return all of it; raises Lost."""
        try:
            return bytes(self._response.content)
        except _TROUBLE as error:
            raise Lost(_words(error)) from error

    def pieces(self) -> Iterator[bytes]:
        """Give what comes, when it comes; raises Lost."""
        try:
            while piece := self._response.raw.read1(_PIECE):
                yield piece
        except (AttributeError, *_TROUBLE) as error:  # the first when it was hung up
            raise Lost(_words(error)) from error

    def hang_up(self) -> None:
        """Have another thread's reading end; for streams that have not come to their end."""
        with contextlib.suppress(AttributeError, *_TROUBLE):
            self._response.raw.connection.sock.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def requested(
    address: Path, method: str, path: str, *, parameters: Mapping[str, object], body: object, seconds: float | None
) -> Iterator[WiredResponse]:
    """Make one request, on a connection of its own; see `Engine.asked`."""
    with contextlib.closing(APIClient(base_url=f"unix://{address}")) as client:
        try:
            response = client._request(  # noqa: SLF001 (its get, post and delete do nothing else)
                method,
                path,
                params=parameters,
                data=None if body is None else json.dumps(body),
                timeout=(CONNECT_SECONDS, None) if seconds is None else (CONNECT_SECONDS, seconds),
                stream=True,
            )
        except _TROUBLE as error:
            raise Lost(_words(error)) from error
        with contextlib.closing(response):
            yield WiredResponse(response)


def _words(error: BaseException) -> str:
    """Return what an error says; podman-py hides what happened behind the address that it had asked."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__
