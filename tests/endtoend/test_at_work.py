# SPDX-License-Identifier: GPL-2.0-or-later
"""What comes of rows while a service is at work: one for all tests here, each of which has a lab and a folder of its own."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from omero_adi_plugin.sessions import Logins
from tests.fixtures.laboratory import Lab, make_group
from tests.fixtures.omero import OmeroServer
from tests.fixtures.postgres import new_database
from tests.fixtures.samples import Samples
from tests.fixtures.services import Tracking, insert, services_in
from tests.fixtures.waiting import wait_until

DONE = ["Import Pending", "Import Started", "Import Completed"]
FAILED = ["Import Pending", "Import Started", "Import Failed"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the service may import from."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def at_work(
    postgres_url: str, template: str, devserver: OmeroServer, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tracking]:
    """The database of a service at work, which does nothing before it is told: neither does it look now and then."""
    folder = tmp_path_factory.mktemp("service")
    with (
        new_database(postgres_url, template) as (_, url),
        services_in(folder, data=data, url=url, account=devserver.account) as services,
    ):
        services.start(max_workers=1, poll_seconds=3600, reconcile_seconds=3600, lease_seconds=3600)
        yield Tracking(url)


@pytest.fixture
def tracking(at_work: Tracking) -> Tracking:
    return at_work


@pytest.fixture
def data_folder(data: Path, tmp_path: Path) -> Path:
    folder = data / tmp_path.name
    folder.mkdir()
    return folder


def test_a_row_becomes_an_image_owned_by_the_user_in_the_dataset_with_its_key_values(
    lab: Lab, tracking: Tracking, samples: Samples
) -> None:
    file = samples.image("day 1, ünï.ome.tif")
    order = tracking.order(lab, file)
    tracking.wait(order)
    assert tracking.stages(order) == DONE
    [image] = lab.images()
    assert lab.images_with(order) == [image]
    [values] = lab.key_values(image)
    assert values["UUID"] == order
    assert values["Filepath"] == values["Imported_from"] == file
    assert (values["Username"], values["Group"], values["DestinationID"]) == (lab.user, lab.group, str(lab.dataset))
    owner = lab.session.query("select i.details.owner.omeName, i.details.group.name from Image i where i.id = :id", id=image)
    assert owner == [[lab.user, lab.group]]


def test_a_service_is_woken_by_the_commit_and_does_not_wait_for_its_poll(lab: Lab, tracking: Tracking, samples: Samples) -> None:
    for _ in range(2):  # the second one certainly finds everybody asleep
        order = tracking.order(lab, samples.image())
        tracking.wait(order, seconds=30)
        assert tracking.stages(order) == DONE


def test_all_images_of_a_file_carry_the_key_values_and_no_other_image_does(
    lab: Lab, tracking: Tracking, samples: Samples
) -> None:
    three, other = tracking.order(lab, samples.three_images()), tracking.order(lab, samples.image())
    tracking.wait(three, other)
    assert len(lab.images_with(three)) == 3
    assert len(lab.images_with(other)) == 1
    assert sorted(lab.images_with(three) + lab.images_with(other)) == lab.images()
    assert all(len(lab.key_values(image)) == 1 for image in lab.images())


def test_the_managed_repository_holds_links_to_the_sources_and_no_copies(
    lab: Lab, tracking: Tracking, samples: Samples, managed_repository: Path
) -> None:
    file = samples.image()
    order = tracking.order(lab, file)
    tracking.wait(order)
    [[path, name]] = lab.session.query(
        "select o.path, o.name from FilesetEntry e join e.originalFile o join e.fileset f join f.images i where i.id = :id",
        id=lab.images()[0],
    )
    link = managed_repository / path.lstrip("/") / name
    assert link.is_symlink()
    assert link.readlink() == Path(file)


def test_an_order_whose_transaction_commits_late_is_imported(lab: Lab, tracking: Tracking, samples: Samples) -> None:
    late = "late-0000"
    with contextlib.closing(psycopg2.connect(tracking.url)) as connection:
        with connection.cursor() as cursor:
            statement, *values = insert(lab, late, [samples.image("late.ome.tif")], {})
            cursor.execute(statement, values)
        early = tracking.order(lab, samples.image("early.ome.tif"))
        tracking.wait(early)
        connection.commit()
    tracking.wait(late)
    assert tracking.stages(late) == DONE


def test_the_same_order_again_imports_nothing_twice(lab: Lab, tracking: Tracking, samples: Samples) -> None:
    file = samples.three_images()
    order = tracking.order(lab, file)
    tracking.wait(order)
    before = lab.images()
    tracking.order(lab, file, uuid=order)
    wait_until(lambda: tracking.stages(order).count("Import Completed") == 2, what="the second run's end")
    tracking.sql("UPDATE imports SET stage = 'Import Pending' WHERE uuid = %s", order)  # as operators were always told
    wait_until(lambda: tracking.stages(order)[-1] == "Import Completed", what="the third run's end")
    assert lab.images() == before
    assert all(len(lab.key_values(image)) == 1 for image in before)


WRONG = [
    ({"user_name": "nobody"}, ["no user 'nobody'"]),
    ({"group_name": "no such group"}, ["no group 'no such group'"]),
    ({"destination_id": "999999999"}, ["no Dataset:999999999"]),
    ({"destination_type": ""}, ["not Dataset or Screen"]),
    ({"files": '["/data/a.tif"'}, ["not valid JSON", "files"]),
    ({"files": '["{folder}/none.tif"]'}, ["none.tif' does not exist"]),
    ({"files": '["/etc/passwd"]'}, ["lies outside"]),
    ({"files": '["{folder}/broken.tif"]'}, ["broken.tif' is damaged"]),
    ({"files": '["{folder}/notes.txt"]'}, ["notes.txt' cannot be imported"]),
    ({"uuid": "../../tmp/x"}, ["not of the form"]),
]


def test_each_wrong_order_fails_with_one_sentence_and_the_queue_goes_on(lab: Lab, tracking: Tracking, samples: Samples) -> None:
    samples.broken()
    (samples.folder / "notes.txt").write_text("no image")
    wrong = {}
    for columns, says in WRONG:
        filled = {name: value.replace("{folder}", str(samples.folder)) for name, value in columns.items()}
        wrong[tracking.order(lab, samples.image("first.ome.tif"), **filled)] = says
    good = tracking.order(lab, samples.image("second.ome.tif"))
    tracking.wait(good, *wrong)
    for order, says in wrong.items():
        assert tracking.stages(order) == FAILED
        description = tracking.description(order)
        assert all(words in description for words in [*says, "order again"]), description
        assert len(description) <= 500
    assert tracking.stages(good) == DONE
    assert len(lab.images()) == 1


def test_a_group_that_the_user_is_not_in_is_refused_and_nothing_is_imported_elsewhere(
    lab: Lab, logins: Logins, tracking: Tracking, samples: Samples
) -> None:
    group = make_group(logins.service().factory.getAdminService())
    order = tracking.order(lab, samples.image(), group_name=group)
    tracking.wait(order)
    assert tracking.stages(order) == FAILED
    assert f"'{lab.user}' is not a member of the group '{group}'" in tracking.description(order)
    assert lab.markers() == Counter()


def test_a_bad_file_fails_the_order_after_the_others_went_in(lab: Lab, tracking: Tracking, samples: Samples) -> None:
    good, broken = samples.image(), samples.broken()
    order = tracking.order(lab, broken, good)
    tracking.wait(order)
    assert tracking.stages(order) == FAILED
    assert "1 of 2 files could not be imported" in tracking.description(order)
    assert "broken.tif" in tracking.description(order)
    assert lab.markers() == Counter({(order, good): 1})
    samples.image("whole.ome.tif")
    (samples.folder / "whole.ome.tif").replace(broken)  # the person copies the file again and orders again
    tracking.order(lab, broken, good, uuid=order)
    tracking.wait(order)
    assert tracking.stages(order)[-1] == "Import Completed"
    assert lab.markers() == Counter({(order, good): 1, (order, broken): 1})


def test_an_image_is_not_put_into_a_screen(lab: Lab, tracking: Tracking, samples: Samples) -> None:
    order = tracking.order(lab, samples.image(), destination_type="Screen", destination_id=str(lab.screen))
    tracking.wait(order)
    assert "cannot be put into Screen" in tracking.description(order)
    assert lab.markers() == Counter()


def test_an_order_of_thousands_of_missing_files_ends_with_a_line_for_each_and_the_good_one_in_omero(
    lab: Lab, tracking: Tracking, samples: Samples, data_folder: Path
) -> None:
    missing = [f"{data_folder}/{number}.tif" for number in range(1300)]
    order = tracking.order(lab, *missing[:700], samples.image(), *missing[700:])
    tracking.wait(order)
    assert tracking.stages(order) == FAILED
    assert tracking.description(order).startswith("1300 of 1301 files could not be imported, the others are in OMERO. ")
    assert len(lab.images_with(order)) == 1
    steps = tracking.sql("SELECT step, count(*) FROM adi_file WHERE uuid = %s GROUP BY step ORDER BY step", order)
    assert steps == [("annotated", 1), ("failed", 1300)]
