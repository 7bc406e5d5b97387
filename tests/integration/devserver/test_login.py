# SPDX-License-Identifier: GPL-2.0-or-later
"""Logging in: names, passwords, groups, both ports."""

from __future__ import annotations

from tests.fixtures.omero import OmeroServer


def test_login(devserver: OmeroServer) -> None:
    with devserver.client() as client:
        assert client.sf.getAdminService().getEventContext().userName == "root"
