# SPDX-License-Identifier: GPL-2.0-or-later
"""The interface for producers in Python: what it says was ordered is ordered, whatever breaks."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine

import omero_adi_plugin
from omero_adi_plugin import OrderState, Preprocessing, client, order_status, submit_order, wait_for_order
from omero_adi_plugin.errors import ConfigurationError, DatabaseDown, NotPermitted, OrderNotFound, StillUnderWay, UsageError
from omero_adi_plugin.tracking.contract import Base
from omero_adi_plugin.tracking.migrate import upgrade
from tests.fixtures.accounts import account
from tests.fixtures.attendant import attend_once, attended
from tests.fixtures.postgres import execute
from tests.fixtures.producer import Producer
from tests.fixtures.relay import Break, relayed
from tests.fixtures.waiting import WAIT_SECONDS, wait_until

ORDER: dict[str, Any] = {"user": "ann", "group": "Demo", "target": "Dataset:151"}
NOWHERE = "postgresql://ann:secret@127.0.0.1:1/adi"

ORDERING = (
    "GRANT SELECT, INSERT ON imports, imports_preprocessing TO {account}",
    "GRANT USAGE ON SEQUENCE imports_id_seq, imports_preprocessing_id_seq TO {account}",
)


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LOOK_SECONDS", 0.01)


def test_an_order_is_committed_carried_out_and_reported(database_url: str, producer: Producer) -> None:
    uuid = submit_order(["/data/a.tif", Path("/data/ü b")], **ORDER, file_names=["one", "two"], url=database_url)
    row = "SELECT stage, user_name, group_name, destination_type, destination_id, files, file_names FROM imports WHERE uuid = %s"
    ((*texts, files, names),) = producer.sql(row, uuid)
    assert texts == ["Import Pending", "ann", "Demo", "Dataset", "151"]
    assert (json.loads(files), json.loads(names)) == (["/data/a.tif", "/data/ü b"], ["one", "two"])
    assert order_status(uuid, url=database_url).state is OrderState.WAITING
    with attended(database_url):
        status = wait_for_order(uuid, timeout_seconds=WAIT_SECONDS, url=database_url)
    assert status == order_status(uuid, url=database_url)
    assert (status.uuid, status.state, status.target, status.attempt) == (uuid, OrderState.COMPLETED, "Dataset:151", 1)
    assert [stage.stage for stage in status.stages or ()] == ["Import Pending", "Import Started", "Import Completed"]
    assert [(file.entry, file.images) for file in status.files or ()] == [("/data/a.tif", (1,)), ("/data/ü b", (2,))]


def test_an_order_that_failed_is_returned_with_its_reason_and_raises_nothing(database_url: str) -> None:
    uuid = submit_order(["/data/broken.tif"], **ORDER, url=database_url)
    attend_once(database_url)
    status = wait_for_order(uuid, timeout_seconds=0, url=database_url)
    assert status.state is OrderState.FAILED
    assert "'/data/broken.tif' is damaged" in (status.description or "")


# --- where the database is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["INGEST_TRACKING_DB_URL", "SQLALCHEMY_URL"])
def test_the_environment_says_where_the_database_is(variable: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, database_url)
    uuid = submit_order(["/data/a.tif"], **ORDER)
    attend_once(database_url)
    assert wait_for_order(uuid, timeout_seconds=0) == order_status(uuid)


def test_the_settings_file_says_where_the_database_is(database_url: str) -> None:
    Path("config").mkdir()
    Path("config/settings.yml").write_text(json.dumps({"ingest_tracking_db": database_url}))
    assert order_status(submit_order(["/data/a.tif"], **ORDER)).state is OrderState.WAITING


def test_mistakes_in_the_settings_do_not_matter_to_who_gives_a_url(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("config").mkdir()
    Path("config/settings.yml").write_text("max_workers: many\n")
    monkeypatch.setenv("ADI_CONFIG", "/nowhere.yml")
    uuid = submit_order(["/data/a.tif"], **ORDER, url=database_url)
    attend_once(database_url)
    assert wait_for_order(uuid, timeout_seconds=0, url=database_url) == order_status(uuid, url=database_url)


def test_without_a_url_anywhere_it_is_said_how_to_give_one() -> None:
    with pytest.raises(ConfigurationError, match="INGEST_TRACKING_DB_URL"):
        submit_order(["/data/a.tif"], **ORDER)


# --- what is no order, and what cannot be written -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "wrong"),
    [
        (["/data/a.tif"], {"target": "Project:3"}),
        (["/data/a.tif"], {"target": "Dataset:0"}),
        (["/data/a.tif"], {"target": 151}),
        (["/data/a.tif"], {"user": ""}),
        (["/data/a.tif"], {"uuid": "no/path"}),
        (["/data/a.tif"], {"file_names": ["a", "b"]}),
        (["/data/a.tif"], {"preprocessing": {"container": "x"}}),
        ("/data/a.tif", {}),
        (["a.tif"], {}),
        ([], {}),
    ],
)
def test_what_can_be_no_order_is_refused_without_asking_the_database(files: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        submit_order(files, **{**ORDER, **wrong}, url=NOWHERE)


def test_a_database_that_is_away_is_never_answered_as_if_it_had_been_there() -> None:
    with pytest.raises(DatabaseDown):
        submit_order(["/data/a.tif"], **ORDER, url=NOWHERE)
    with pytest.raises(DatabaseDown):
        order_status("order", url=NOWHERE)
    with pytest.raises(DatabaseDown) as caught:
        wait_for_order("order", timeout_seconds=0, url=NOWHERE)
    assert "secret" not in str(caught.value)


def test_a_database_without_the_tables_says_so(empty_database_url: str) -> None:
    with pytest.raises(ConfigurationError, match="db upgrade"):
        submit_order(["/data/a.tif"], **ORDER, url=empty_database_url)


@pytest.mark.parametrize("oldest", [False, True])
def test_a_database_of_the_former_importer_alone_takes_orders_that_run_after_the_upgrade(
    *, oldest: bool, empty_database_url: str
) -> None:
    engine = create_engine(empty_database_url)
    Base.metadata.create_all(engine)
    engine.dispose()
    if oldest:  # before the column came
        execute(empty_database_url, "ALTER TABLE imports DROP COLUMN description")
    uuid = submit_order(["/data/a.tif"], **ORDER, preprocessing=Preprocessing(container="c"), url=empty_database_url)
    with pytest.raises(ConfigurationError, match="db upgrade"):
        order_status(uuid, url=empty_database_url)
    if not oldest:
        upgrade(empty_database_url)
        assert order_status(uuid, url=empty_database_url).state is OrderState.WAITING


def test_an_account_that_may_only_order_can_order_and_is_told_what_it_lacks_to_see_more(
    database_url: str, producer: Producer
) -> None:
    with account(database_url, *ORDERING) as url:
        uuid = submit_order(["/data/a.tif"], **ORDER, preprocessing=Preprocessing(container="c"), url=url)
        assert producer.sql("SELECT container FROM imports JOIN imports_preprocessing p ON p.id = preprocessing_id") == [("c",)]
        for ask in (order_status, lambda uuid, url: wait_for_order(uuid, timeout_seconds=60, url=url)):
            with pytest.raises(NotPermitted, match="adi_order"):
                ask(uuid, url=url)
    with account(database_url, "GRANT SELECT ON imports TO {account}") as url, pytest.raises(NotPermitted, match="imports"):
        submit_order(["/data/a.tif"], **ORDER, url=url)
    assert producer.trail(uuid) == ["Import Pending"]


# --- connections that break -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "written"), [(Break.BEFORE_COMMIT, 0), (Break.AFTER_COMMIT, 1)])
@pytest.mark.parametrize("carried_out_between", [False, True])
def test_a_connection_that_breaks_at_the_commit_raises_and_the_same_uuid_again_imports_once(
    *, at: Break, written: int, carried_out_between: bool, database_url: str, producer: Producer
) -> None:
    uuid = str(uuid4())
    with relayed(database_url, at=at) as relay:
        with pytest.raises(DatabaseDown):
            submit_order(["/data/a.tif", "/data/b.tif"], **ORDER, uuid=uuid, url=relay.url)
        assert relay.broken.is_set()
        assert producer.sql("SELECT count(*) FROM imports WHERE uuid = %s", uuid) == [(written,)]
        if carried_out_between:
            assert attend_once(database_url) == written
        assert submit_order(["/data/a.tif", "/data/b.tif"], **ORDER, uuid=uuid, url=relay.url) == uuid
    assert order_status(uuid, url=database_url).state is OrderState.WAITING
    assert attend_once(database_url) == 1
    status = order_status(uuid, url=database_url)
    assert status.state is OrderState.COMPLETED
    assert [file.entry for file in status.files or ()] == ["/data/a.tif", "/data/b.tif"]


@pytest.mark.usefixtures("looks_often")
@pytest.mark.parametrize("timeout_seconds", [WAIT_SECONDS, None])
def test_a_wait_outlives_a_restart_of_the_database(timeout_seconds: float | None, database_url: str) -> None:
    uuid = submit_order(["/data/a.tif"], **ORDER, url=database_url)
    with relayed(database_url) as relay, ThreadPoolExecutor(1) as program:
        waits = program.submit(wait_for_order, uuid, timeout_seconds=timeout_seconds, url=relay.url)
        wait_until(lambda: relay.open_now == 1)
        relay.cut(refuses=3)
        wait_until(lambda: relay.refuses == 0)
        attend_once(database_url)
        assert waits.result(timeout=WAIT_SECONDS).state is OrderState.COMPLETED
        assert relay.connections > 1


@pytest.mark.usefixtures("looks_often")
def test_a_wait_for_ever_ends_when_the_database_stays_away(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ABSENCE_SECONDS", 0.1)
    uuid = submit_order(["/data/a.tif"], **ORDER, url=database_url)
    with relayed(database_url) as relay, ThreadPoolExecutor(1) as program:
        waits = program.submit(wait_for_order, uuid, timeout_seconds=None, url=relay.url)
        wait_until(lambda: relay.open_now == 1)
        relay.cut(refuses=sys.maxsize)
        with pytest.raises(DatabaseDown):
            waits.result(timeout=WAIT_SECONDS)


@pytest.mark.usefixtures("looks_often")
def test_no_call_keeps_a_connection_and_a_wait_has_one(database_url: str) -> None:
    def closed() -> bool:
        return relay.open_now == 0

    with relayed(database_url) as relay:
        uuid = submit_order(["/data/a.tif"], **ORDER, url=relay.url)
        wait_until(closed)
        order_status(uuid, url=relay.url)
        wait_until(closed)
        with pytest.raises(StillUnderWay):
            wait_for_order(uuid, timeout_seconds=0.2, url=relay.url)
        wait_until(closed)
        assert relay.connections == 3


# --- waiting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout_seconds", [0, 0.05])
def test_a_wait_ends_with_its_time(timeout_seconds: float, database_url: str) -> None:
    uuid = submit_order(["/data/a.tif"], **ORDER, url=database_url)
    with pytest.raises(StillUnderWay, match=uuid):
        wait_for_order(uuid, timeout_seconds=timeout_seconds, url=database_url)


@pytest.mark.parametrize("timeout_seconds", [-1, float("nan")])
def test_a_time_that_is_none_is_refused(timeout_seconds: float) -> None:
    with pytest.raises(UsageError, match="no time to wait"):
        wait_for_order("order", timeout_seconds=timeout_seconds, url=NOWHERE)


def test_an_unknown_order_is_not_waited_for(database_url: str) -> None:
    with pytest.raises(OrderNotFound, match="'nobody'"):
        wait_for_order("nobody", timeout_seconds=None, url=database_url)
    with pytest.raises(OrderNotFound, match="'nobody'"):
        order_status("nobody", url=database_url)


def test_an_order_that_runs_again_is_waited_for_again(database_url: str) -> None:
    uuid = submit_order(["/data/broken.tif"], **ORDER, url=database_url)
    attend_once(database_url)
    submit_order(["/data/a.tif"], **ORDER, uuid=uuid, url=database_url)
    with pytest.raises(StillUnderWay):
        wait_for_order(uuid, timeout_seconds=0, url=database_url)
    attend_once(database_url)
    assert wait_for_order(uuid, timeout_seconds=0, url=database_url).state is OrderState.COMPLETED


def test_threads_may_order_and_wait_at_the_same_time(database_url: str) -> None:
    def order_and_wait(number: int) -> tuple[str, OrderState | None]:
        uuid = submit_order([f"/data/{number}.tif"], **ORDER, url=database_url)
        status = wait_for_order(uuid, timeout_seconds=WAIT_SECONDS, url=database_url)
        return (status.files or ())[0].entry, status.state

    with attended(database_url), ThreadPoolExecutor(8) as threads:
        done = list(threads.map(order_and_wait, range(24)))
    assert done == [(f"/data/{number}.tif", OrderState.COMPLETED) for number in range(24)]


# --- what it costs to import ----------------------------------------------------------------------------------------


def modules_after(code: str) -> set[str]:
    program = f"import sys, json; {code}; print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


def test_the_interface_is_light() -> None:
    never = {"omero", "Ice", "ezomero", "numpy", "tifffile", "rich", "podman", "jpype", "alembic", "prometheus_client", "jinja2"}
    assert not modules_after("import omero_adi_plugin") & {*never, "sqlalchemy", "psycopg2", "pydantic", "yaml"}
    program = "from omero_adi_plugin import submit_order, order_status, wait_for_order, OrderStatus, Preprocessing"
    loaded = modules_after(program)
    assert "sqlalchemy" in loaded
    assert not loaded & {*never, "pydantic", "yaml"}


def test_ordering_by_url_loads_no_more_than_it_needs(database_url: str) -> None:
    call = f"submit_order(['/data/a.tif'], user='ann', group='Demo', target='Dataset:1', url={database_url!r})"
    assert not modules_after(f"from omero_adi_plugin import submit_order; {call}") & {"omero", "alembic", "pydantic", "yaml"}


def test_every_public_name_is_there_and_no_other() -> None:
    for name in omero_adi_plugin.__all__:
        assert getattr(omero_adi_plugin, name) is not None
    assert set(omero_adi_plugin.__all__) <= set(dir(omero_adi_plugin))
    with pytest.raises(AttributeError, match="submit_orders"):
        _ = omero_adi_plugin.submit_orders
