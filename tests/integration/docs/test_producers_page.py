# SPDX-License-Identifier: GPL-2.0-or-later
"""The page for producers: each of its examples, run in its order with the rights that it asks for, does what the page says."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sqlalchemy.engine import make_url

from omero_adi_plugin import submit_order
from omero_adi_plugin.errors import DatabaseDown
from tests.fixtures.attendant import attended
from tests.fixtures.pages import DOCS, Example, examples
from tests.fixtures.postgres import PASSWORD_ROLES, execute
from tests.fixtures.producer import Producer
from tests.fixtures.waiting import wait_until

PAGE = "producers.md"
ACCOUNT, PASSWORD = "web_orders", "choose-one"
ADMINISTRATOR = "-- as the owner of the tables\n"
BY_SQL, CONVERTED_BY_SQL = "4f1c09aa-5c0e-4b43-9a52-0f6f2cf0a001", "4f1c09aa-5c0e-4b43-9a52-0f6f2cf0a002"
OMERO = 'omero() { shift; "$PYTHON" -m omero_adi_plugin "$@"; }\n'  # OMERO's script refuses root; the same command does not
TELL_VARIABLE = '\nprintf "\\n%s" "$INGEST_TRACKING_DB_URL"'
COMPLETED = ["Import Pending", "Import Started", "Import Completed"]


@dataclass
class Reader:
    """Somebody who does everything that the page says, in its order; `saw` is what each heading's examples printed."""

    administrator: Producer
    account: str
    monkeypatch: pytest.MonkeyPatch
    saw: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    names: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        made = make_url(self.administrator.url).set(username=self.account, password=PASSWORD)
        return made.render_as_string(hide_password=False)

    def follow(self, example: Example) -> None:
        ways: dict[str, Callable[[str], Any]] = {"sql": self._sql, "python": self._python, "sh": self.run}
        if example.language not in ways:
            assert example.language == "hql"  # asked of OMERO in the end-to-end tests, in these words
            return
        self.saw[example.heading].append(ways[example.language](self._filled_in(example.text)))
        wait_until(self._settled, what=f"all orders ended after: {example.text}")

    def run(self, text: str) -> str:
        """Run lines of a shell, and keep what they export; return what they print."""
        done = subprocess.run(
            ["bash", "-euc", OMERO + text + TELL_VARIABLE],
            env={"INGEST_TRACKING_DB_URL": "", **os.environ, "PYTHON": sys.executable},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        printed, _, variable = done.stdout.rpartition("\n")
        self.monkeypatch.setenv("INGEST_TRACKING_DB_URL", variable)  # what it exports holds for all that follows
        return printed

    def stages(self, path: str) -> dict[str, list[str]]:
        """Trails of all orders that name a file."""
        rows = self.administrator.sql("SELECT DISTINCT uuid FROM imports WHERE files LIKE %s", f'%"{path}"%')
        return {uuid: self.administrator.trail(uuid) for (uuid,) in rows}

    def _filled_in(self, text: str) -> str:
        text = text.replace(ACCOUNT, self.account)
        return re.sub(r"postgresql://\S+@host:port/database", lambda _: self.url, text)

    def _settled(self) -> bool:
        return self.administrator.sql(
            "SELECT (SELECT count(*) FROM adi_inbox) + (SELECT count(*) FROM adi_order WHERE finished_at IS NULL)"
        ) == [(0,)]

    def _sql(self, text: str) -> list[tuple[Any, ...]]:
        if text.startswith(ADMINISTRATOR):
            rows = self.administrator.sql(text)
            with contextlib.suppress(Exception):  # as soon as the account is there, it has to give its password
                execute(self.administrator.url, f"GRANT {PASSWORD_ROLES} TO {self.account}")
            return rows
        return Producer(self.url).sql(text)

    def _python(self, text: str) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(text, PAGE, "exec"), self.names)  # noqa: S102 (the examples of our own page)
        return printed.getvalue()


@pytest.fixture
def reader(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Reader]:
    for name in ("INGEST_TRACKING_DB_URL", "SQLALCHEMY_URL", "ADI_INGEST_TRACKING_DB", "ADI_CONFIG", "OMERODIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    account = f"{ACCOUNT}_{uuid4().hex[:8]}"
    try:
        yield Reader(Producer(database_url), account, monkeypatch)
    finally:
        with contextlib.suppress(Exception):  # it is not there when the page no longer makes it
            execute(database_url, f"DROP OWNED BY {account}", f"DROP ROLE {account}")


def test_every_example_of_the_page_for_producers_does_what_the_page_says(reader: Reader, database_url: str) -> None:
    with attended(database_url):
        for example in examples(PAGE):
            reader.follow(example)
    saw, names = reader.saw, reader.names

    run, status = saw["Python"][:2]
    assert run == "images [1, 2]\n"
    lines = status.splitlines()
    assert lines[:4] == ["completed Dataset:151 1", *(f"{stage} None" for stage in COMPLETED)]
    assert lines[4:-1] == [f"/data/group/image{number}.tif annotated ({number},) None" for number in (1, 2)]
    assert re.fullmatch(r"1 \S+:1 2\S+ \S+ completed None", lines[-1])
    assert reader.stages("/data/group/image3.tif") == {names["mine"]: COMPLETED}

    assert saw["Where an order stands"][0] == [("Import Completed", None)]
    waited, shown = saw["Where an order stands"][1].split("{", 1)
    assert "completed" in waited
    assert json.loads("{" + shown)["uuid"] == BY_SQL

    converters = reader.administrator.sql(
        "SELECT DISTINCT i.uuid, p.container, p.input_file, p.output_folder, p.alt_output_folder, p.extra_params::text "
        "FROM imports i JOIN imports_preprocessing p ON p.id = i.preprocessing_id"
    )
    assert {row[1:] for row in converters} == {
        ("cellularimagingcf/converter:latest", "{Files}", "/data", "/out", '{"saveoption": "single"}')
    }
    by_path = {path: reader.stages(f"/data/group/{path}") for path in ("image4.lif", "image5.lif", "image6.lif", "image7.tif")}
    assert [list(trails.values()) for trails in by_path.values()] == [[COMPLETED]] * 4
    assert {row[0] for row in converters} == {uuid for path in list(by_path)[:3] for uuid in by_path[path]}
    assert CONVERTED_BY_SQL in by_path["image6.lif"]
    assert [uuid.strip() for uuid in saw["From a shell"]] == list(by_path["image7.tif"])

    assert saw["Ordering again"][0] == "completed\n"
    assert reader.administrator.trail(names["order"]) == COMPLETED * 2
    retried = reader.administrator.trail(BY_SQL)
    assert (retried[:3], retried[3:]) == (["Import Pending"] * 3, ["Import Started", "Import Completed"])


def test_the_rights_on_the_page_are_enough_for_the_commands_on_an_order_that_waits(reader: Reader) -> None:
    for example in examples(PAGE):
        if example.heading == "The account of your program":
            reader.follow(example)
    uuid = submit_order(["/data/a.tif"], user="ann", group="Demo", target="Dataset:1")
    assert f"{uuid}\twaiting" in reader.run(f"omero adi orders show {uuid}\nomero adi orders list")


def test_ordering_until_it_is_written_goes_on_after_the_database_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = [each for each in examples(PAGE) if "while True" in each.text]
    answers = [DatabaseDown(where="host", why="it restarts"), DatabaseDown(where="host", why="it restarts"), None]
    asked: list[str] = []

    def away_twice(files: list[str], *, uuid: str, **_: object) -> str:
        """Stand for `submit_order` on a database that restarts: the real one cannot be made to just then."""
        asked.append(uuid)
        if (answer := answers.pop(0)) is not None:
            raise answer
        return uuid

    monkeypatch.setattr("time.sleep", lambda _: None)
    names: dict[str, Any] = {"submit_order": away_twice}
    exec(compile(example.text, PAGE, "exec"), names)  # noqa: S102 (the examples of our own page)
    assert asked == [names["mine"]] * 3


def with_what_they_need(names: set[str]) -> set[str]:
    """Distributions with all that they require, by normalised name."""
    found: set[str] = set()
    while names:
        found |= names
        wanted = [Requirement(line) for name in names for line in metadata.requires(name) or []]
        names = {canonicalize_name(each.name) for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})}
        names -= found
    return found


def test_what_the_page_installs_where_there_is_no_omero_is_all_that_the_functions_load(database_url: str) -> None:
    (line,) = re.findall(r"^    pip install (?!--no-deps)(.+)$", (DOCS / PAGE).read_text(encoding="utf-8"), re.MULTILINE)
    installed: set[str] = {canonicalize_name(Requirement(each).name) for each in shlex.split(line)}
    program = (
        "import json, sys; from importlib.metadata import packages_distributions; from omero_adi_plugin import *; "
        "order = submit_order(['/data/a.tif'], user='ann', group='Demo', target='Dataset:1'); "
        "print(order_status(order).state, file=sys.stderr); "
        "names = {name.partition('.')[0] for name in sys.modules}; ours = packages_distributions(); "
        "print(json.dumps(sorted({each for name in names for each in ours.get(name, [])})))"
    )
    environment = {**os.environ, "INGEST_TRACKING_DB_URL": database_url}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == "waiting\n"
    loaded = {canonicalize_name(name) for name in json.loads(done.stdout)}
    assert "sqlalchemy" in loaded
    assert loaded - {"setuptools"} <= with_what_they_need(installed) | {"omero-adi-plugin"}  # a .pth file of setuptools' loads it


def test_images_are_found_in_omero_by_the_words_of_the_page() -> None:
    (hql,) = [example.text for example in examples(PAGE) if example.language == "hql"]
    tested = (DOCS.parent / "tests" / "fixtures" / "laboratory.py").read_text(encoding="utf-8")
    words = hql.strip().replace(f"'{BY_SQL}'", ":v")
    assert f'"{words} order by i.id"' in tested


def test_links_of_the_page_lead_somewhere() -> None:
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    headings = {
        "#" + re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    assert [link for link in links if not (link in headings or (DOCS / link).is_file())] == []
