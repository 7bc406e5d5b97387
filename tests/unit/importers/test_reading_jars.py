# SPDX-License-Identifier: GPL-2.0-or-later
"""Where Bio-Formats and its Java are looked for, and what is said when they are not there."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from omero_adi_plugin.importers.reading import jars
from omero_adi_plugin.importers.reading.jars import Bioformats, Jars, NoBioformats, find


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a Java and JPype, and nothing else; its files are empty."""
    made(tmp_path / "java/lib/server/libjvm.so")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    monkeypatch.delenv("OMERODIR", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    return tmp_path


def made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def class_path(found: Bioformats | NoBioformats) -> tuple[str, ...]:
    assert isinstance(found, Bioformats), found
    return found.class_path


def test_omeros_own_jars_go_first_all_of_them(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMERODIR", str(host / "omero"))
    client = [made(host / "omero/lib/client" / name) for name in ("formats-bsd.jar", "ome-xml.jar", "omero-blitz.jar")]
    made(host / "omero/lib/client/README.txt")
    configured = made(host / "mine.jar")
    assert class_path(find(configured)) == tuple(map(str, client))


def test_an_omero_without_them_is_passed_over(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMERODIR", str(host / "omero"))
    made(host / "omero/lib/client/omero-blitz.jar")
    configured = made(host / "mine.jar")
    assert class_path(find(configured)) == (str(configured),)


def test_the_setting_names_a_jar_or_a_folder_and_goes_before_our_own(host: Path) -> None:
    ours = made(host / "prefix/share/bioformats/bioformats_package.jar")
    assert class_path(find(None)) == (str(ours),)
    theirs = [made(host / "jars" / name) for name in ("a.jar", "bioformats_package-8.1.0.jar")]
    assert class_path(find(theirs[0].parent)) == tuple(map(str, theirs))
    assert class_path(find(theirs[0])) == (str(theirs[0]),)
    relative = Path(os.path.relpath(theirs[0]))
    assert class_path(find(relative)) == (str(relative.absolute()),)


def test_a_setting_that_names_nothing_is_said_and_not_passed_over(host: Path) -> None:
    made(host / "prefix/share/bioformats/bioformats_package.jar")
    assert find(host / "gone.jar") == NoBioformats(
        f"Bio-Formats is not installed: `bioformats_jar` names '{host}/gone.jar', which has none"
    )
    made(host / "jars/other.jar")
    assert isinstance(find(host / "jars"), NoBioformats)


def test_what_is_missing_is_named(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(None) == NoBioformats("Bio-Formats is not installed: no jar of it was found")
    made(host / "prefix/share/bioformats/bioformats_package.jar")
    monkeypatch.setattr(jars, "_INSTALLED", host / "nowhere")
    monkeypatch.setenv("PATH", str(host))
    monkeypatch.setenv("JAVA_HOME", str(host))
    assert find(None) == NoBioformats("no Java is installed")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert find(None) == NoBioformats("JPype1 is not installed")


def test_java_is_found_where_java_is_found(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(host / "prefix/share/bioformats/bioformats_package.jar")
    installed = made(host / "installed/java-17/lib/server/libjvm.so")
    monkeypatch.setattr(jars, "_INSTALLED", host / "installed")

    def library() -> str:
        found = find(None)
        assert isinstance(found, Bioformats)
        return found.library

    assert library() == str(host / "java/lib/server/libjvm.so")
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(host))
    assert library() == str(installed)
    on_path = made(host / "opt/java-8/jre/lib/amd64/server/libjvm.so")
    program = made(host / "opt/java-8/bin/java")
    program.chmod(0o755)
    (host / "java").rename(host / "no-java")
    (host / "java").symlink_to(program)
    assert library() == str(on_path)


def test_another_jar_is_another_bioformats(host: Path) -> None:
    jar = made(host / "prefix/share/bioformats/bioformats_package.jar")
    before = find(None)
    assert find(None) == before
    jar.write_bytes(b"newer")
    assert find(None) != before


def test_a_look_is_good_for_some_seconds(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Jars(None)
    assert isinstance(looks.look(), NoBioformats)
    made(host / "prefix/share/bioformats/bioformats_package.jar")
    assert isinstance(looks.look(), NoBioformats)
    monkeypatch.setattr(jars, "LOOK_SECONDS", 0)
    assert isinstance(looks.look(), Bioformats)
