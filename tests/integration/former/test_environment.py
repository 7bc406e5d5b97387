# SPDX-License-Identifier: GPL-2.0-or-later
"""The environments of the former importer: from the package index once, then from the cache, never half made."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from provision.environment import pip_environment

from tests.fixtures.former import RELEASES, Former, FormerMissing, provide
from tests.fixtures.waiting import wait_until

NO_INDEX = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}


def test_without_a_network_and_a_cache_it_is_said_what_is_missing_and_nothing_half_made_is_left(tmp_path: Path) -> None:
    release = RELEASES[0]
    with pytest.raises(FormerMissing, match=r"biomero-importer==1\.4\.2 is not in .* run them with a network"):
        provide(release, cache=tmp_path, pip_env=pip_environment() | NO_INDEX)
    assert [path.name for path in tmp_path.iterdir()] == [f"{release.key}.lock"]


def test_what_is_in_the_cache_needs_no_network_and_what_a_killed_run_left_is_no_environment(tmp_path: Path) -> None:
    release = RELEASES[0]
    (tmp_path / f"{release.key}.part" / "bin").mkdir(parents=True)
    with pytest.raises(FormerMissing):
        provide(release, cache=tmp_path, pip_env=pip_environment() | NO_INDEX)
    (tmp_path / release.key).mkdir()
    assert provide(release, cache=tmp_path, pip_env=NO_INDEX).python.parent.parent == tmp_path / release.key


def test_of_two_runs_at_once_the_second_waits_and_takes_what_the_first_has_made(tmp_path: Path) -> None:
    release = RELEASES[0]
    with ThreadPoolExecutor(1) as second, (tmp_path / f"{release.key}.lock").open("w", encoding="ascii") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        waits = f":{os.fstat(first.fileno()).st_ino} "
        made = second.submit(provide, release, cache=tmp_path, pip_env=pip_environment() | NO_INDEX)
        locks = Path("/proc/locks")
        wait_until(lambda: any("->" in line and waits in line for line in locks.read_text().splitlines()), what="the second run")
        (tmp_path / release.key).mkdir()
        fcntl.flock(first, fcntl.LOCK_UN)
        assert made.result(timeout=30).python.is_relative_to(tmp_path / release.key)


def test_it_is_the_published_package_without_omero_and_with_a_url_that_means_psycopg2(
    former: Former, former_releases: Mapping[str, Former]
) -> None:
    code = (
        "import importlib.metadata as m, importlib.util as u, sqlalchemy as s; "
        "print(*sorted(d.name.lower().replace('_', '-') for d in m.distributions())); "
        "print(s.create_engine('postgresql://h/d').driver, u.find_spec('omero'))"
    )
    done = subprocess.run([former.python, "-I", "-c", code], capture_output=True, text=True, check=True)
    libraries = {"sqlalchemy", "typing-extensions", "alembic", "mako", "markupsafe", "psycopg2-binary"}
    names, engine = done.stdout.splitlines()
    assert set(names.split()) == libraries | {former.release.requirement.partition("==")[0]}
    assert engine == "psycopg2 None"
    assert len({each.python for each in former_releases.values()}) == len(RELEASES)
