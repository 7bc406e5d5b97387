# SPDX-License-Identifier: GPL-2.0-or-later
"""What the door of the development server has beside a real one's: a port without SSL of its own, and plain words."""

from __future__ import annotations

from pathlib import Path

import omero
import pytest

from tests.fixtures.omero import started


def test_a_client_logs_in_over_tcp(tmp_path: Path) -> None:
    with started(tmp_path / "data") as server:
        router = f"OMERO.Glacier2/router:tcp -p {server.tcp_port} -h {server.host}"
        client = omero.client([f"--omero.host={server.host}", f"--Ice.Default.Router={router}"])
        try:
            session = client.createSession(server.root, server.root_password)
            assert session.getAdminService().getEventContext().userName == server.root
        finally:
            client.closeSession()


def test_what_is_not_there_says_so_and_is_written_to_the_log(tmp_path: Path) -> None:
    with started(tmp_path / "data") as server, server.client() as root:
        with pytest.raises(omero.InternalException) as refused:
            root.sf.getShareService().getOwnShares(True)
        assert refused.value.message == "not implemented by the development server: IShare.getOwnShares"
        assert server.missing() == ["IShare.getOwnShares"]
