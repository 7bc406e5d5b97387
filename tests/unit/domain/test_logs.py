# SPDX-License-Identifier: GPL-2.0-or-later
"""Log lines that machines can read, in one file for all processes and two for each order."""

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_adi_plugin import logs
from omero_adi_plugin.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    root = logging.getLogger("omero_adi_plugin")
    before = root.handlers, root.level, root.propagate
    made = Settings.load(ingest_tracking_db="postgresql://u@h/d", log_file_path=tmp_path / "logs" / "app.logs")
    logs.set_up(made)
    yield made
    for handler in root.handlers:
        handler.close()
    root.handlers, root.level, root.propagate = before


def log_of(settings: Settings, name: str = "app.logs") -> str:
    assert settings.log_file_path is not None
    path = settings.log_file_path.with_name(name)
    return path.read_text() if path.exists() else ""


def test_an_event_is_one_line_of_facts(settings: Settings) -> None:
    log = logging.getLogger("omero_adi_plugin.test")
    logs.event(log, logging.INFO, "fileset.imported", entry="/data/a b.nd2", images=4, seconds=1.23456, why=None, words="x\ny")
    line = log_of(settings).rstrip("\n")
    assert "\n" not in line
    assert line.startswith("timestamp=2")
    assert line.endswith(r'entry="/data/a b.nd2" images=4 seconds=1.235 words="x\ny"')
    assert " level=info event=fileset.imported " in line


def test_what_only_the_order_is_told_is_not_in_the_application_log(settings: Settings) -> None:
    log = logging.getLogger("omero_adi_plugin.test")
    with logs.order_logs(settings, uuid="abc"):
        logs.order_event(log, logging.INFO, "server.log", line="step 1")
        logs.event(log, logging.INFO, "good.news")
    assert log_of(settings, "cli.abc.logs").splitlines()[0].endswith(f' event=server.log pid={os.getpid()} line="step 1"')
    assert [line.split("event=")[1].split()[0] for line in log_of(settings).splitlines()] == ["good.news"]


def test_what_others_wrote_steers_no_terminal_that_shows_the_log(settings: Settings) -> None:
    logs.event(logging.getLogger("omero_adi_plugin.test"), logging.INFO, "order.started", order="\x1b[2J", user="ü")
    assert log_of(settings).endswith('order="\\u001b[2J" user=ü\n')


def test_an_orders_lines_are_also_in_its_own_logs_which_are_appended_to(settings: Settings) -> None:
    log = logging.getLogger("omero_adi_plugin.test")
    for number in (1, 2):
        with logs.order_logs(settings, uuid="abc"):
            logs.event(log, logging.INFO, "good.news", number=number)
            logs.event(log, logging.WARNING, "bad.news", number=number)
    logs.event(log, logging.WARNING, "other.news")
    assert [line.split("event=")[1].split()[0] for line in log_of(settings, "cli.abc.logs").splitlines()] == [
        "good.news",
        "bad.news",
    ] * 2
    assert log_of(settings, "cli.abc.errs").count("event=bad.news") == 2
    assert "good.news" not in log_of(settings, "cli.abc.errs")
    assert log_of(settings).count("event=") == 5


def test_a_log_that_was_put_aside_is_left_and_a_new_one_begun(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LARGEST_BYTES", 100)
    log = logging.getLogger("omero_adi_plugin.test")
    for number in range(logs.KEPT + 2):
        logs.event(log, logging.INFO, "line.written", number=number, padding="x" * 100)
        logs.rotate(settings)
    logs.event(log, logging.INFO, "line.last")
    assert "line.last" in log_of(settings)
    assert "line.written" not in log_of(settings)
    assert f"number={logs.KEPT + 1}" in log_of(settings, "app.logs.1")
    assert "number=2 " in log_of(settings, f"app.logs.{logs.KEPT}")


def test_an_unexpected_error_keeps_its_traceback(settings: Settings) -> None:
    try:
        int("x")
    except ValueError as error:
        logs.event(logging.getLogger("omero_adi_plugin.test"), logging.ERROR, "attempt.broke", error=error)
    assert "Traceback" in log_of(settings)


def test_a_log_that_cannot_be_written_does_not_stop_the_work(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert settings.log_file_path is not None
    shutil.rmtree(settings.log_file_path.parent)
    log = logging.getLogger("omero_adi_plugin.test")
    for _ in range(2):
        logs.event(log, logging.INFO, "order.completed")
        logs.rotate(settings)
    with logs.order_logs(settings, uuid="abc"):
        logs.event(log, logging.WARNING, "bad.news")
    assert "order.completed" in capsys.readouterr().err
    settings.log_file_path.parent.mkdir()
    logs.event(log, logging.INFO, "back.again")
    assert "back.again" in log_of(settings)
