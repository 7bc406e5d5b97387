# SPDX-License-Identifier: GPL-2.0-or-later
"""IUpdate: what is saved, what comes back, and what is refused and why."""

from __future__ import annotations

import threading
from typing import Any

import omero
import omero.model as m
import pytest
from omero.rtypes import rint, rlong, rstring, unwrap

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, User, make_user, rows
from tests.fixtures.omero_requests import join, link, named, new_image, save

NO_CONTEXT = "No valid permissions available"


def get(client: Any, kind: str, row_id: int) -> Any:
    return client.sf.getQueryService().get(kind, row_id)


def test_of_two_copies_the_second_is_refused(client: Any) -> None:
    row_id = save(client, named(m.DatasetI)).id.val
    first, second = get(client, "Dataset", row_id), get(client, "Dataset", row_id)
    first.name, second.name = rstring("first"), rstring("second")
    save(client, first)
    with pytest.raises(omero.OptimisticLockException, match="not authorized to change the update event"):
        save(client, second)
    assert get(client, "Dataset", row_id).name.val == "first"


def test_a_save_without_a_change_or_of_a_link_makes_no_copy_stale(client: Any) -> None:
    row_id = save(client, named(m.DatasetI)).id.val
    copy = get(client, "Dataset", row_id)
    save(client, get(client, "Dataset", row_id))
    save(client, link(m.DatasetAnnotationLinkI, m.DatasetI(row_id, False), m.CommentAnnotationI()))
    copy.name = rstring("changed")
    assert save(client, copy).name.val == "changed"


def test_of_saves_at_the_same_moment_one_wins(devserver: OmeroServer, user: User, client: Any) -> None:
    row_id = save(client, named(m.DatasetI)).id.val
    outcomes: list[str] = []
    barrier = threading.Barrier(4)

    def change(number: int) -> None:
        with devserver.client(user.name, PASSWORD) as own:
            copy = get(own, "Dataset", row_id)
            copy.name = rstring(f"by {number}")
            barrier.wait(20)
            try:
                outcomes.append(save(own, copy).name.val)
            except omero.OptimisticLockException:
                outcomes.append("refused")

    threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes)[1:] == ["refused"] * 3
    assert get(client, "Dataset", row_id).name.val in outcomes


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (m.ImageI, "core.Image.name"),
        (m.WellI, "screen.Well.plate"),
        (m.PlateI, "screen.Plate.name"),
        (m.ChannelI, "core.Channel.logicalChannel"),
        (lambda: link(m.DatasetImageLinkI, named(m.DatasetI), None), "containers.DatasetImageLink.child"),
        (m.ExternalInfoI, "meta.ExternalInfo.entityId"),
    ],
)
def test_what_must_have_a_value(client: Any, make: Any, field: str) -> None:
    with pytest.raises(omero.ValidationException) as refused:
        save(client, make())
    text = f"not-null property references a null or transient value: ome.model.{field}"
    assert refused.value.message.startswith(f"{text}; nested exception is ")


def test_one_bad_object_of_an_array_saves_nothing(client: Any) -> None:
    name = f"array of {client.getSessionId()}"
    service = client.sf.getUpdateService()
    with pytest.raises(omero.ValidationException):
        service.saveAndReturnArray([named(m.DatasetI, name), named(m.ProjectI, name), m.ImageI()])
    assert rows(client, "select count(d) from Dataset d where d.name = :name", name=name) == [[0]]
    kinds = [type(one) for one in service.saveAndReturnArray([named(m.ProjectI), named(m.DatasetI), named(m.ProjectI)])]
    assert kinds == [m.ProjectI, m.DatasetI, m.ProjectI]
    assert service.saveAndReturnArray([]) == []


def test_a_pair_is_linked_once_by_each_owner(devserver: OmeroServer) -> None:
    alice, bob = make_user(devserver), make_user(devserver)
    join(devserver, bob.name, alice.group)
    with devserver.client(alice.name, PASSWORD) as mine, devserver.client(bob.name, PASSWORD) as theirs:
        tag = save(mine, m.TagAnnotationI()).id.val
        dataset = save(mine, named(m.DatasetI)).id.val

        def linked(client: Any) -> Any:
            new = link(m.DatasetAnnotationLinkI, m.DatasetI(dataset, False), m.TagAnnotationI(tag, False))
            return save(client, new, group=alice.group_id)

        linked(mine)
        assert linked(theirs).details.owner.id.val == bob.id
        with pytest.raises(omero.ValidationException, match=r"constraint \[datasetannotationlink_parent_child_owner_id_key\]"):
            linked(mine)


def test_two_wells_have_no_common_place(client: Any) -> None:
    plate = save(client, named(m.PlateI)).id.val

    def well() -> Any:
        new = m.WellI()
        new.plate, new.row, new.column = m.PlateI(plate, False), rint(0), rint(0)
        return new

    save(client, well())
    with pytest.raises(omero.ValidationException, match=r"constraint \[well_col_row\]"):
        save(client, well())


@pytest.mark.parametrize("length", [0, 256, 300])
def test_names_of_any_length_are_kept(client: Any, length: int) -> None:
    assert save(client, named(m.DatasetI, "n" * length)).name.val == "n" * length


def test_texts_that_the_database_does_not_take(client: Any) -> None:
    with pytest.raises(omero.ValidationException, match="DataException"):
        save(client, named(m.DatasetI, "a\0b"))
    dataset = named(m.DatasetI)
    dataset.details.externalInfo = external("x" * 300)
    with pytest.raises(omero.ValidationException, match="DataException"):
        save(client, dataset)


def external(lsid: str) -> Any:
    info = m.ExternalInfoI()
    info.entityType, info.entityId, info.lsid = rstring("com.glencoesoftware.ngff:multiscales"), rlong(3), rstring(lsid)
    return info


def test_a_registered_image_keeps_where_its_planes_are(client: Any) -> None:
    """An OME-Zarr is registered by one save: image, pixels, channels and external info, linked into a Dataset."""
    dataset = save(client, named(m.DatasetI)).id.val
    image = new_image(client)
    image.getPrimaryPixels().pixelsType = m.PixelsTypeI()
    image.getPrimaryPixels().pixelsType.value = rstring("uint16")  # by its value only: looked up
    image.details.externalInfo = external("/data/x.zarr")
    image.linkDataset(m.DatasetI(dataset, False))
    saved = save(client, image)
    hql = (
        "select i.series, i.details.externalInfo.lsid, p.pixelsType.value, l.parent.id from Image i"
        " join i.pixels p join i.datasetLinks l where i.id = :id"
    )
    assert rows(client, hql, id=saved.id.val) == [[0, "/data/x.zarr", "uint16", dataset]]


def test_external_info_is_replaced_or_removed_but_never_changed(client: Any) -> None:
    dataset = named(m.DatasetI)
    dataset.details.externalInfo = external("/first")
    row_id = save(client, dataset).id.val

    def loaded() -> Any:
        query = "select d from Dataset d left outer join fetch d.details.externalInfo where d.id = :id"
        return client.sf.getQueryService().findByQuery(query, omero.sys.ParametersI().addId(row_id))

    changed = loaded()
    changed.details.externalInfo.lsid = rstring("/changed")
    save(client, changed)
    assert loaded().details.externalInfo.lsid.val == "/first"
    replaced = loaded()
    replaced.details.externalInfo = external("/second")
    save(client, replaced)
    assert loaded().details.externalInfo.lsid.val == "/second"
    removed = loaded()
    removed.details.externalInfo = None
    save(client, removed)
    assert loaded().details.externalInfo is None


def test_named_values_keep_order_and_doubles_and_lose_nulls(client: Any) -> None:
    annotation = m.MapAnnotationI()
    annotation.setMapValue([m.NamedValue("b", "1"), m.NamedValue("a", "2"), m.NamedValue("b", "1"), m.NamedValue("c", None)])
    saved = get(client, "MapAnnotation", save(client, annotation).id.val)
    assert [(pair.name, pair.value) for pair in saved.getMapValue()] == [("b", "1"), ("a", "2"), ("b", "1"), ("c", "")]


def test_users_neither_add_nor_change_what_belongs_to_the_system(client: Any) -> None:
    new = m.FormatI()
    new.value = rstring("a test's own")
    with pytest.raises(omero.SecurityViolation, match="is a System-type, and may be created only through privileged APIs"):
        save(client, new)
    known = client.sf.getTypesService().getEnumeration("PixelsType", "uint8")
    known.value = rstring("changed")
    with pytest.raises(omero.SecurityViolation, match=r"Updating ome\.model\.enums\.PixelsType:changed:Id_\d+ not allowed"):
        save(client, known)


def test_saving_nothing_and_what_is_not_loaded(client: Any) -> None:
    with pytest.raises(omero.ApiUsageException, match="Argument to save cannot be null"):
        save(client, None)
    row_id = save(client, named(m.DatasetI, "kept")).id.val
    assert save(client, m.DatasetI(row_id, False)).name.val == "kept"
    with pytest.raises(omero.ValidationException, match="No row with the given identifier exists"):
        save(client, link(m.DatasetImageLinkI, m.DatasetI(row_id, False), m.ImageI(999999999, False)))


def test_a_save_needs_its_group(devserver: OmeroServer, user: User) -> None:
    join(devserver, user.name, user.other_group)
    with devserver.client(user.name, PASSWORD) as client:
        with pytest.raises(omero.ApiUsageException, match=NO_CONTEXT):
            save(client, named(m.DatasetI), group=-1)
        mine = save(client, named(m.ProjectI)).id.val
        elsewhere = save(client, named(m.DatasetI), group=user.other_group_id)
        assert elsewhere.details.group.id.val == user.other_group_id
        across = link(m.ProjectDatasetLinkI, m.ProjectI(mine, False), m.DatasetI(elsewhere.id.val, False))
        with pytest.raises(omero.SecurityViolation, match="Cannot read"):
            save(client, across)
        with pytest.raises(omero.SecurityViolation, match=r"Group is ------\. Cannot link"):
            save(client, across, group=-1)
        elsewhere.name = rstring("changed")
        with pytest.raises(omero.SecurityViolation):
            save(client, elsewhere)


def test_nobody_but_an_administrator_saves_for_others(devserver: OmeroServer, user: User, client: Any) -> None:
    def for_another(owner: int) -> Any:
        new = named(m.DatasetI)
        new.details.owner = m.ExperimenterI(owner, False)
        return new

    with pytest.raises(omero.SecurityViolation, match="You are not authorized to set the Experimenter"):
        save(client, for_another(0))
    elsewhere = named(m.DatasetI)
    elsewhere.details.group = m.ExperimenterGroupI(user.other_group_id, False)
    with pytest.raises(omero.SecurityViolation, match="You are not authorized to set the ExperimenterGroup"):
        save(client, elsewhere)
    with devserver.client() as root:
        saved = save(root, for_another(user.id), group=user.group_id)
        assert (saved.details.owner.id.val, saved.details.group.id.val) == (user.id, user.group_id)


def test_an_administrator_saves_without_a_group_what_a_link_gives_one(devserver: OmeroServer, user: User, client: Any) -> None:
    dataset, project = save(client, named(m.DatasetI)).id.val, save(client, named(m.ProjectI)).id.val
    with devserver.client() as root:
        new = link(m.ProjectDatasetLinkI, m.ProjectI(project, False), m.DatasetI(dataset, False))
        assert save(root, new, group=-1).details.group.id.val == user.group_id
        other = make_user(devserver)
        with devserver.client(other.name, PASSWORD) as stranger:
            theirs = save(stranger, named(m.ProjectI)).id.val
        across = link(m.ProjectDatasetLinkI, m.ProjectI(theirs, False), m.DatasetI(dataset, False))
        with pytest.raises(omero.GroupSecurityViolation, match="MIXED GROUP"):
            save(root, across, group=-1)


def test_the_enumerations_are_those_of_the_model(client: Any) -> None:
    service = client.sf.getTypesService()
    expected = {
        "PixelsType": "bit complex double double-complex float int16 int32 int8 uint16 uint32 uint8",
        "DimensionOrder": "XYCTZ XYCZT XYTCZ XYTZC XYZCT XYZTC",
        "Binning": "1x1 2x2 4x4 8x8",
        "EventType": "FullText Import Internal Processing Sessions Shoola Task Test User",
        "ProjectionType": "maximum mean sum",
        "RenderingModel": "greyscale rgb",
    }
    for kind, values in expected.items():
        assert sorted(unwrap(one.value) for one in service.allEnumerations(f"omero.model.{kind}")) == values.split()
    assert service.getEnumeration("DetectorType", "EM-CCD").value.val == "EM-CCD"
    formats = {unwrap(one.value) for one in service.allEnumerations("omero.model.Format")}
    assert {"Fake", "OMETiff", "Companion/OMETiff", "TiffDelegate"} <= formats
    assert not [name for name in formats if "zarr" in name.lower()]
    with pytest.raises(omero.ApiUsageException, match="PixelsType enum does not exist with the value: nosuch"):
        service.getEnumeration("PixelsType", "nosuch")


def test_a_file_is_led_nowhere_else(devserver: OmeroServer, user: User, client: Any) -> None:
    file = m.OriginalFileI()
    file.path, file.name = rstring("/data/"), rstring("notes.txt")
    file = save(client, file)
    for path, name in (("/data/../", "notes.txt"), ("/data/", ".."), ("/data/", "./notes.txt")):
        file.path, file.name = rstring(path), rstring(name)
        with pytest.raises(omero.SecurityViolation) as error:
            save(client, file)
        assert error.value.message == "only administrators may introduce non-canonical OriginalFile path or name"
    file.path, file.name, file.repo = rstring("/data/more/"), rstring("notes..txt"), rstring("ScriptRepo")
    saved = save(client, file)
    assert [unwrap(each) for each in (saved.path, saved.name, saved.repo)] == ["/data/more/", "notes..txt", None]
    with devserver.client() as root:
        group = {"omero.group": str(user.group_id)}
        theirs = root.sf.getQueryService().get("OriginalFile", saved.id.val, group)
        theirs.path = rstring("/data/../")
        assert unwrap(save(root, theirs, group=user.group_id).path) == "/data/../"
