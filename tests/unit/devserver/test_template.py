# SPDX-License-Identifier: GPL-2.0-or-later
"""Where imports go: the template of the repository, on folders that are only imagined."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from threading import current_thread

import pytest

from omero_devserver.repository.naming import Parts
from omero_devserver.repository.template import Facts, FolderTaken, Template, TemplateError
from omero_devserver.wire.server import REPOSITORY_TEMPLATE

FACTS = Facts(
    user="ada:l",
    user_id=7,
    group="lab/x",
    group_id=9,
    permissions="rwra--",
    session="4f0f",
    session_id=31,
    institution=None,
    time=datetime(2026, 3, 5, 9, 4, 7, 61_000),  # noqa: DTZ001  local time, whatever it is here
    paths=["a/1.tif", "a/2.tif"],
)


class Imagined:
    """Folders in memory; one in `snatched` is taken by somebody else just before it is made."""

    def __init__(self, *there: str, snatched: str | None = None) -> None:
        self.there = {tuple(path.split("/")) for path in there}
        self.made: list[str] = []
        self.snatched = snatched

    def make(self, folder: Parts, *, parents: bool) -> None:
        path = "/".join(folder)
        if path == self.snatched:
            self.snatched = None
            self.there.add(folder)
        if folder in self.there and not parents:
            raise FolderTaken(path)
        self.there.add(folder)
        self.made.append(path)

    def is_there(self, folder: Parts) -> bool:
        return folder in self.there

    def entries(self, folder: Parts) -> int | None:
        return sum(1 for one in self.there if one[:-1] == folder)


def expanded(text: str, folders: Imagined | None = None, facts: Facts = FACTS) -> str:
    return "/".join(Template.parse(text).make(facts, folders or Imagined()))


def test_the_default_is_a_real_servers() -> None:
    folders = Imagined()
    assert expanded(REPOSITORY_TEMPLATE, folders) == "ada;l_7/2026-03/05/09-04-07.061"
    assert folders.made == ["ada;l_7/2026-03", "ada;l_7/2026-03/05", "ada;l_7/2026-03/05/09-04-07.061"]
    assert Template.parse(REPOSITORY_TEMPLATE).root_folder(FACTS) == ("ada;l_7",)


def test_a_name_that_looks_like_a_term_is_only_a_name() -> None:
    facts = replace(FACTS, user="%user%", group="%increment%", institution="100%")
    assert expanded("%user%/%group%_%increment%/%institution%", facts=facts) == "%user%/%increment%_1/100%"
    assert Template.parse(REPOSITORY_TEMPLATE).root_folder(facts) == ("%user%_7",)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("%group%-%groupId%/%perms%", "lab!x-9/rwra--"),
        ("%year%%month%%monthname%/%day%", "202603March/05"),
        ("%session%/%sessionId%", "4f0f/31"),
        ("%User%_%time%_x", "ada;l_09-04-07.061_x"),
        ("data/%institution%/x", "data/x"),
        ("data/%institution:none%/x", "data/none/x"),
        ("in-%hash:3,5%-x/y", "in-7D1-x/CF862/y"),
        ("%increment%", "1"),
        ("a-%increment:4%", "a-0001"),
        ("root//x//%day%", "root/x/05"),
        ("x/%subdirs%/y", "x/y"),
    ],
)
def test_a_term_stands_for_what_its_name_says(text: str, path: str) -> None:
    assert expanded(text) == path


def test_the_hash_is_of_the_paths_alone() -> None:
    other = expanded("%hash%", facts=replace(FACTS, paths=["a/1.tif"]))
    assert expanded("%hash%") == "7D1CF862"
    assert expanded("%hash%", facts=replace(FACTS, user_id=8)) == "7D1CF862"
    assert other != "7D1CF862"


def test_the_thread_and_the_institution_have_safe_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_thread(), "name", "a:b")
    assert expanded("%thread%/%institution%", facts=replace(FACTS, institution="Uni/X?")) == "a;b/Uni!X%"


def test_a_new_folder_is_the_first_that_is_free() -> None:
    assert expanded("x/%time%", Imagined("x/09-04-07.061", "x/09-04-07.062")) == "x/09-04-07.063"
    assert expanded("x/%increment%", Imagined(*(f"x/{number}" for number in range(1, 38)))) == "x/38"


def test_a_folder_that_somebody_else_makes_first_is_left_to_him() -> None:
    assert expanded("x/%time%", Imagined(snatched="x/09-04-07.061")) == "x/09-04-07.062"


def test_full_folders_get_subfolders() -> None:
    full = [f"x/{number}" for number in range(10)]
    assert expanded("x/%subdirs:1%/%increment%", Imagined(*full)) == "x/0/1"
    fuller = [*full, *(f"x/0/{number}" for number in range(10))]
    assert expanded("x/%subdirs:1%/%increment%", Imagined(*fuller)) == "x/1/1"


def test_a_template_without_a_new_folder_serves_once() -> None:
    folders = Imagined()
    assert expanded("x/%day%", folders) == "x/05"
    with pytest.raises(FolderTaken, match="x/05"):
        expanded("x/%day%", folders)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("%user%//", "no user-owned"),
        ("", "no user-owned"),
        ("x//%institution%", "no user-owned"),
        ("%time%//x", "cannot expand"),
        ("%hash%//x", "prohibited"),
        ("%userid%", "cannot expand"),
        ("%nonsense%", "cannot expand"),
        ("%time%%increment%", "cannot expand"),
        ("%hash:0%", "invalid"),
        ("%hash:5,4%", "invalid"),
        ("%subdirs:0%/x", "invalid"),
    ],
)
def test_a_template_that_cannot_be_expanded(text: str, why: str) -> None:
    with pytest.raises(TemplateError, match=why):
        expanded(text)
