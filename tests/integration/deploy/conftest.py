# SPDX-License-Identifier: GPL-2.0-or-later
"""One migrated database with the account of the scripts on it, for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.deeds import Site
from tests.fixtures.postgres import execute, new_database
from tests.fixtures.roles import script_role


@pytest.fixture(scope="module")
def site(postgres_url: str, template: str) -> Iterator[Site]:
    """As it is before PostgreSQL 15, where everybody may create in `public`; with a schema and a table of others."""
    with new_database(postgres_url, template) as (_, url):
        execute(
            url,
            "GRANT CREATE ON SCHEMA public TO PUBLIC",
            "CREATE SCHEMA elsewhere",
            "CREATE TABLE elsewhere.secrets (word text)",
            "CREATE TABLE public.others (word text)",
        )
        site = Site(url, script_role(url))
        try:
            yield site
        finally:
            site.close()
