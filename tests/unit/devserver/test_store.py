# SPDX-License-Identifier: GPL-2.0-or-later
"""The file behind the store: first rows, people, transactions, threads, sudden ends."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import omero.model as m
import pytest
from omero.rtypes import rstring

from omero_devserver.model.schema import ENTITIES, find_class
from omero_devserver.store.caller import SERVER
from omero_devserver.store.errors import NameTaken, NoSuchGroup, StillReferred
from omero_devserver.store.people import READ_ONLY, Person
from omero_devserver.store.store import Store

if TYPE_CHECKING:
    from .conftest import Lab


def test_an_empty_database_has_the_rows_of_every_omero(store: Store) -> None:
    people = store.people
    assert [people.user_name(i) for i in (0, 1)] == ["root", "guest"]
    assert [people.group_name(i) for i in (0, 1, 2)] == ["system", "user", "guest"]
    assert str(m.PermissionsI(people.permissions(1))) == "rwr-r-"
    algorithms = [row[0] for row in store.rows("SELECT c_value FROM t_ChecksumAlgorithm ORDER BY id")]
    assert algorithms == ["Adler-32", "CRC-32", "MD5-128", "Murmur3-32", "Murmur3-128", "SHA1-160", "File-Size-64"]
    empty = [e.name for e in ENTITIES.values() if e.enumeration and not store.rows(f"SELECT 1 FROM t_{e.root} LIMIT 1")]
    assert empty == []
    assert store.enumeration("PixelsType", "uint16")
    assert store.enumeration("PixelsType", "nosuch") is None


@pytest.mark.parametrize("name", ["Image", "ImageI", "omero.model.ImageI", "::omero::model::Image", "ome.model.core.Image"])
def test_a_class_is_found_by_all_its_names(name: str) -> None:
    assert find_class(name).full_name == "ome.model.core.Image"


def test_members_and_their_default_group(store: Store) -> None:
    people = store.people
    first, second = people.add_group("first", READ_ONLY), people.add_group("second", READ_ONLY)
    person = Person(name="u", first_name="U", last_name="User")
    user = people.add_user(person, "secret", [first, 1])
    assert people.memberships(user).member_of == (first, 1)
    people.add_member(user, second, owner=True)
    assert people.memberships(user).member_of == (first, second, 1)
    assert people.memberships(user).leader_of == (second,)
    people.set_default_group(user, second)
    assert people.memberships(user).member_of == (second, first, 1)
    people.set_owner(user, second, False)
    people.remove_member(user, first)
    assert people.memberships(user) == type(people.memberships(user))(member_of=(second, 1), leader_of=())
    with pytest.raises(NoSuchGroup):
        people.set_default_group(user, first)
    with pytest.raises(NameTaken):
        people.add_group("first")
    with pytest.raises(NameTaken):
        people.add_user(person, "x", [first])


def test_passwords_are_kept_as_hashes(store: Store) -> None:
    assert store.people.check_password("root", "omero")
    assert not store.people.check_password("root", "wrong")
    assert not store.people.check_password("nobody", "omero")
    store.people.set_password(0, "näw")
    assert store.people.check_password("root", "näw")
    assert not [row for row in store.rows("SELECT hash FROM password") if "näw" in row[0] or "omero" in row[0]]


def test_privileges_of_full_restricted_and_no_administrators(lab: Lab) -> None:
    assert len(lab.caller("root", 0).privileges) == 15
    assert lab.caller("awowned", 0).privileges == {"WriteOwned"}
    assert lab.caller("anone", 0).privileges == lab.caller("alice", "gro").privileges == frozenset()


def test_privileges_leave_other_settings_of_a_user_alone(lab: Lab) -> None:
    admin = lab.caller("anone", 0).user
    row = lab.store.get(SERVER, "Experimenter", [admin])[0]
    row.config = [m.NamedValue("language", "de"), m.NamedValue("Sudo", "false")]
    lab.store.save(replace(SERVER, group=0), [row])
    assert "Sudo" in lab.store.people.privileges(admin)
    for privileges in (frozenset({"Chown"}), frozenset({"Sudo"})):
        lab.store.people.set_privileges(admin, privileges)
        assert lab.store.people.privileges(admin) == privileges
        saved = lab.store.get(SERVER, "Experimenter", [admin])[0].config
        assert [(one.name, one.value) for one in saved[:2]] == [("language", "de"), ("Sudo", "false")]


def test_a_user_or_group_with_data_that_was_given_or_moved_to_it_stays(lab: Lab) -> None:
    people, graphs = lab.store.people, lab.store.graphs
    alice, root = lab.caller("alice", "gro"), lab.caller("root", 0)
    new = people.add_user(Person(name="new", first_name="New", last_name="User"), None, [lab.group("gro"), 1])
    group = people.add_group("new", READ_ONLY)
    given, moved = (lab.dataset(alice).id.val for _ in range(2))
    graphs.give(root, {"Dataset": [given]}, user=new)
    graphs.move(root, {"Dataset": [moved]}, group=group)
    with pytest.raises(StillReferred):
        people.delete_user(new)
    with pytest.raises(StillReferred):
        people.delete_group(group)
    assert people.memberships(new).member_of == (lab.group("gro"), 1)
    graphs.delete(root, {"Dataset": [given, moved]})
    people.delete_user(new)
    people.delete_group(group)


def test_after_many_calls_at_once_few_connections_stay_open(lab: Lab) -> None:
    everybody = threading.Barrier(40)

    def call(_number: int) -> None:
        with lab.store._database.reading():
            everybody.wait(30)

    with ThreadPoolExecutor(40) as threads:
        list(threads.map(call, range(40)))
    assert 0 < len(lab.store._database._pool) < 40


def test_a_transaction_is_undone_as_a_whole_and_an_inner_one_alone(store: Store) -> None:
    def inner() -> None:
        with store.transaction():
            store.people.add_group("inner")
            raise LookupError

    def outer() -> None:
        with store.transaction():
            store.people.add_group("outer")
            with pytest.raises(LookupError):
                inner()
            assert store.people.group_id("inner") is None
            raise KeyError

    with pytest.raises(KeyError):
        outer()
    assert store.people.group_id("outer") is None


def test_twenty_threads_read_and_write_at_once(lab: Lab) -> None:
    alice = lab.caller("alice", "gro")

    def work(number: int) -> list[int]:
        seen = []
        for _ in range(10):
            dataset = lab.dataset(alice, f"thread {number}")
            found = lab.store.objects(alice, f"select d from Dataset d where d.name = 'thread {number}'", None)
            assert {d.name.val for d in found} == {f"thread {number}"}
            assert lab.store.people.memberships(0).member_of == (0, 1)
            seen.append(dataset.id.val)
        return seen

    with ThreadPoolExecutor(20) as threads:
        every = [row_id for ids in threads.map(work, range(20)) for row_id in ids]
    assert len(every) == len(set(every)) == lab.count("Dataset") == 200


def test_a_reader_sees_nothing_of_an_open_transaction(lab: Lab) -> None:
    with ThreadPoolExecutor(1) as other, lab.store.transaction():
        lab.store.people.add_group("hidden")
        assert other.submit(lab.store.people.group_id, "hidden").result(10) is None
    assert lab.store.people.group_id("hidden") is not None


KILLED = """
import os, signal, sys
from pathlib import Path
from omero_devserver.store.store import Store
store = Store(Path(sys.argv[1]))
for number in range(5):
    store.people.add_group(f"committed {number}")
with store.transaction():
    store.people.add_group("not committed")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_a_kill_all_that_was_committed_is_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "omero.db"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    store = Store(path)
    names = {row[0] for row in store.rows("SELECT c_name FROM t_ExperimenterGroup WHERE id > 2")}
    store.close()
    assert names == {f"committed {number}" for number in range(5)}


def test_a_file_is_opened_again_with_its_rows_and_its_password(tmp_path: Path) -> None:
    path = tmp_path / "omero.db"
    store = Store(path, root_password="first")
    dataset = m.DatasetI()
    dataset.name = rstring("kept")
    dataset.details.group = m.ExperimenterGroupI(1, False)
    store.save(SERVER, [dataset])
    store.close()
    store = Store(path, root_password="second")
    assert store.people.check_password("root", "first")
    assert [d.name.val for d in store.objects(SERVER, "from Dataset", None)] == ["kept"]
    store.close()


def test_the_end_of_a_list_is_found_without_a_look_at_all_of_it(store: Store) -> None:
    (step,) = store.rows("EXPLAIN QUERY PLAN SELECT max(position) FROM t_FilesetEntry WHERE r_fileset = 1")
    assert "USING COVERING INDEX" in step["detail"]


@pytest.mark.parametrize("broken", ["file", "table"])
def test_a_file_that_cannot_be_used_is_not_held_open(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "omero.db"
    if broken == "file":
        path.write_bytes(b"no database " * 1000)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE t_Image (something)")
    with pytest.raises(sqlite3.DatabaseError) as caught:
        Store(path)
    open_files = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert path not in open_files, caught.value


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "omero.db")
    store.close()
    with pytest.raises(RuntimeError, match="closed"):
        store.rows("SELECT 1")
