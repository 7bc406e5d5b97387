# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache of Ice wheels: found by their tags, whole or not there, tried before they are trusted."""

from __future__ import annotations

import platform
import sys
import zipfile
from pathlib import Path

import pytest
from provision import ice

PYTHON = "cp{}{}".format(*sys.version_info[:2])
NAME = f"zeroc_ice-3.6.5-{PYTHON}-{PYTHON}-linux_{platform.machine()}.whl"


def wheel(path: Path, content: str = "") -> Path:
    """A wheel as far as the cache cares: an archive with a module IcePy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("IcePy.py", content)
    return path


@pytest.mark.parametrize(("given", "folder"), [("/var/cache/me", "/var/cache/me"), ("relative", "~/.cache"), ("", "~/.cache")])
def test_the_cache_is_where_the_user_keeps_caches(given: str, folder: str) -> None:
    assert ice.cache_folder({"XDG_CACHE_HOME": given}) == Path(folder).expanduser() / "omero-adi" / "wheels"


def test_only_a_wheel_for_this_python_and_machine_is_found(tmp_path: Path) -> None:
    for other in ("cp310-cp310-linux_" + platform.machine(), f"{PYTHON}-{PYTHON}-linux_vax"):
        wheel(tmp_path / f"zeroc_ice-3.6.5-{other}.whl")
    assert ice.in_cache(tmp_path) is None
    wheel(tmp_path / NAME)
    assert ice.in_cache(tmp_path) == tmp_path / NAME
    assert ice.in_cache(tmp_path / "not there") is None


def test_a_wheel_works_if_its_extension_loads(tmp_path: Path) -> None:
    good = wheel(tmp_path / "good.whl")
    broken = wheel(tmp_path / "broken.whl", content="raise ImportError('libssl.so.1.1: cannot open shared object file')")
    cut = tmp_path / "cut.whl"
    cut.write_bytes(good.read_bytes()[:40])
    assert [ice.works(path, scratch=tmp_path) for path in (good, broken, cut)] == [True, False, False]
    assert list(tmp_path.glob("probe-*")) == []


def test_a_wheel_that_loads_no_more_is_replaced_in_the_cache(tmp_path: Path) -> None:
    kept = ice.keep(wheel(tmp_path / "work" / NAME), tmp_path / "cache")
    assert kept == tmp_path / "cache" / NAME
    newer = wheel(tmp_path / "work" / NAME, content="# newer")
    ice.keep(newer, tmp_path / "cache")
    assert kept.read_bytes() == newer.read_bytes()


def test_a_wheel_that_could_not_be_copied_leaves_nothing_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()  # cannot be read, whoever asks
    with pytest.raises(IsADirectoryError):
        ice.keep(tmp_path / NAME, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
