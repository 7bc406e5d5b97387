# SPDX-License-Identifier: GPL-2.0-or-later
"""What the markers tell after an import, whole or cut off by the death of its client."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import omero.all
import pytest
from omero.rtypes import rstring

from omero_adi_plugin.importers import batches
from omero_adi_plugin.importers.made import Finder
from omero_adi_plugin.importers.markers import delete_fileset, restore_link
from omero_adi_plugin.importers.references import link, reference
from omero_adi_plugin.importers.repository import ManagedRepository
from omero_adi_plugin.orders import MARKER_NAMESPACE
from tests.fixtures.importing import EVERYTHING, Importing, delete
from tests.fixtures.laboratory import make_user

if TYPE_CHECKING:
    from pathlib import Path

    from omero_adi_plugin.importers.protocol import MarkedFileset
    from omero_adi_plugin.sessions import Logins
    from tests.fixtures.laboratory import Lab

DYING_CLIENT = """
import os, signal, sys
from omero_adi_plugin.importers.inplace import InPlace
from omero_adi_plugin.orders import Marker, Target
from omero_adi_plugin.sessions import Account, Logins
from tests.fixtures.importing import EVERYTHING, planned

host, port, account, user, group, target, order, path, moment = sys.argv[1:]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Dying(InPlace):
    def _verify(self, *arguments):
        handle = super()._verify(*arguments)
        if moment == "verified":
            die()
        return handle

def on_step(step, /, *, fileset):
    if step == moment:
        die()

logins = Logins(Account(host=host, port=int(port), user=account, password=sys.stdin.readline().strip()))
importer = Dying(logins.act_for(user, group), skip=EVERYTHING, patience_seconds=60, parallel_files=1, bioformats=None)
plan = planned(path)
importer.run(plan=plan, target=Target.parse(target), marker=Marker(uuid=order, attempt=1, key=plan.key), on_step=on_step)
"""


def import_and_die(lab: Lab, importing: Importing, path: Path, moment: str) -> None:
    """Import in a process that is killed at a moment: a step, or `verified`, when the server is at work."""
    account = lab.account
    arguments = [account.host, str(account.port), account.user, lab.user, lab.group, str(importing.target), importing.order]
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DYING_CLIENT, *arguments, str(path), moment],
        input=account.password + "\n",
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == -9, ended.stderr  # a moment that never came proves nothing


def only(found: tuple[MarkedFileset, ...]) -> MarkedFileset:
    (fileset,) = found
    return fileset


@pytest.mark.parametrize("moment", ["created", "verifying"])
def test_a_client_killed_before_the_server_begins_leaves_a_half(lab: Lab, importing: Importing, three: Path, moment: str) -> None:
    import_and_die(lab, importing, three, moment)
    half = only(importing.found(statistics=True))
    assert (half.complete, half.images, half.marker.attempt) == (False, (), 1)
    delete_fileset(importing.session, half.fileset)
    assert importing.found() == ()
    assert [link for link in importing.repository.rglob("*") if link.is_symlink() and link.readlink() == three] == []


def test_a_client_killed_while_the_server_is_at_work_leaves_a_whole_import(lab: Lab, importing: Importing, three: Path) -> None:
    import_and_die(lab, importing, three, "verified")
    end = time.monotonic() + 30
    while not only(importing.found(statistics=True)).complete:
        assert time.monotonic() < end, importing.found(statistics=True)
        time.sleep(0.1)
    whole = only(importing.found(statistics=True))
    assert whole.linked
    assert list(whole.images) == lab.images()


def test_a_fileset_without_the_statistics_that_were_asked_for_is_not_complete(lab: Lab, three: Path) -> None:
    with_statistics, without = Importing(lab, skip=EVERYTHING), Importing(lab)
    with_statistics.run(with_statistics.plan(three))
    without.run(without.plan(three))
    assert only(with_statistics.found(statistics=True)).complete
    assert not only(without.found(statistics=True)).complete
    assert only(without.found(statistics=False)).complete


def test_orders_of_more_images_than_one_question_can_name_are_found(
    lab: Lab, importing: Importing, one: Path, three: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "IDS", 2)
    monkeypatch.setattr(batches, "OBJECTS", 2)
    first, second = importing.run(importing.plan(one)), importing.run(importing.plan(three))
    for gone in lab.session.query("select l.id from DatasetImageLink l where l.child.id in (:ids)", ids=list(second.images)):
        delete(lab.session, "DatasetImageLink", gone)
    restore_link(lab.session, importing.target, second.images, ())
    assert [found.images for found in importing.found()] == [first.images, second.images]
    assert all(found.complete and found.linked for found in importing.found())


def test_markers_of_other_orders_are_not_found(lab: Lab, one: Path) -> None:
    first, second = Importing(lab), Importing(lab)
    second.order = first.order[:-1] + "_"  # to OMERO's `like`, an underscore stands for any character
    imported = first.run(first.plan(one))
    second.run(second.plan(one))
    assert only(first.found()).fileset == imported.fileset
    assert only(second.found()).fileset != imported.fileset


def test_what_others_put_on_ones_filesets_is_no_marker(lab: Lab, logins: Logins, importing: Importing, one: Path) -> None:
    """In a read-annotate group they may; what looks like a fileset of an order is adopted, or swept."""
    plan, other = importing.plan(one), Importing(lab)
    begun, precious, dear = importing.begin(plan), other.begin(plan), other.begin(plan)
    own = "select a.id from FilesetAnnotationLink l join l.child a where l.parent.id = :id and a.ns = :ns"
    [[marker]] = lab.session.query(own, id=begun, ns=MARKER_NAMESPACE)
    copy = omero.model.CommentAnnotationI()
    copy.setNs(rstring(MARKER_NAMESPACE))
    copy.setTextValue(rstring(str(importing.marker(plan))))
    colleague = make_user(logins.service().factory.getAdminService(), lab.group)
    with logins.act_for(colleague, lab.group) as session:
        links = [
            link("FilesetAnnotationLink", parent=reference("Fileset", precious), child=copy),
            link("FilesetAnnotationLink", parent=reference("Fileset", dear), child=reference("CommentAnnotation", marker)),
        ]
        batches.save(session, links, doing="forging")
    assert only(importing.found()).fileset == begun
    made = Finder(lab.session, ManagedRepository.of(lab.session)).find(importing.marker(plan))
    assert made is not None
    assert made.id == begun


def test_a_missing_link_is_seen_and_restored_once(lab: Lab, importing: Importing, three: Path) -> None:
    imported = importing.run(importing.plan(three))
    links = lab.session.query("select l.id from DatasetImageLink l where l.child.id = :id", id=imported.images[1])
    delete(lab.session, "DatasetImageLink", [links[0][0]])
    assert not only(importing.found()).linked
    for _ in range(2):
        restore_link(lab.session, importing.target, imported.images, imported.plates)
        assert only(importing.found()).linked
    assert lab.images() == sorted(imported.images)


def test_deleting_a_whole_import_leaves_the_source_alone(importing: Importing, three: Path) -> None:
    before = three.read_bytes()
    imported = importing.run(importing.plan(three))
    (link,) = [path for path in importing.repository.rglob("*") if path.is_symlink() and path.readlink() == three]
    delete_fileset(importing.session, imported.fileset)
    assert three.read_bytes() == before
    assert not link.parent.exists()
    assert importing.session.query("select i.id from Image i where i.id in (:ids)", ids=list(imported.images)) == []
    delete_fileset(importing.session, imported.fileset)  # once more is no error
