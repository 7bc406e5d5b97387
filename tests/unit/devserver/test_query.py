# SPDX-License-Identifier: GPL-2.0-or-later
"""Queries as clients see them; expectations are those recorded on a real server."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import Ice
import omero
import omero.model as m
import pytest
from omero.rtypes import rint, rlist, rlong, rstring, unwrap

from omero_devserver.hql.translate import translate
from omero_devserver.hql.values import Argument
from omero_devserver.store.access import Access
from omero_devserver.store.caller import ALL_GROUPS
from omero_devserver.store.errors import ValuesSelected

if TYPE_CHECKING:
    from omero_devserver.store.caller import Caller

    from .conftest import Lab


@pytest.fixture
def alice(lab: Lab) -> Caller:
    return lab.caller("alice", "gro")


@pytest.fixture
def filled(lab: Lab, alice: Caller) -> Any:
    """A dataset with four images, and a tag and a map annotation on the first."""
    dataset = lab.dataset(alice, "Data B")
    fileset = lab.imported(alice, 4, dataset)
    image = m.ImageI(fileset.copyImages()[0].id.val, False)
    tag = m.TagAnnotationI()
    tag.textValue = rstring("tag1")
    values = m.MapAnnotationI()
    values.setMapValue([m.NamedValue("k1", "v1"), m.NamedValue("k2", "v2"), m.NamedValue("k1", "again")])
    for annotation in (tag, values):
        link = m.ImageAnnotationLinkI()
        link.parent, link.child = image, annotation
        lab.save(alice, link)
    return dataset


def test_a_root_comes_once_with_a_fetched_collection_and_again_with_a_plain_join(lab: Lab, alice: Caller, filled: Any) -> None:
    fetched = lab.store.objects(alice, "select d from Dataset d left outer join fetch d.imageLinks", None)
    joined = lab.store.objects(alice, "select d from Dataset d join d.imageLinks l", None)
    assert len(fetched) == 1
    assert fetched[0].sizeOfImageLinks() == 4
    assert [d.id.val for d in joined] == [filled.id.val] * 4


def test_what_is_not_fetched_comes_unloaded(lab: Lab, alice: Caller, filled: Any) -> None:
    dataset = lab.store.objects(alice, "select d from Dataset d", None)[0]
    assert not dataset.details.owner.isLoaded()
    assert not dataset.details.creationEvent.isLoaded()
    assert dataset.details.group.isLoaded()
    assert not dataset._imageLinksLoaded
    assert dataset.sizeOfImageLinks() == -1
    assert dataset.version is None
    link = lab.store.objects(alice, "select d from Dataset d join fetch d.imageLinks", None)[0].copyImageLinks()[0]
    assert link.parent.isLoaded()
    assert not link.child.isLoaded()


def test_channels_come_in_their_order(lab: Lab, alice: Caller, image: Any) -> None:
    saved = lab.save(alice, image("many", channels=5))
    query = "select p from Pixels p join fetch p.channels c join fetch c.logicalChannel where p.image.id = :id order by c.id desc"
    pixels = lab.store.objects(alice, query, omero.sys.ParametersI().addId(saved.id.val))[0]
    assert [c.logicalChannel.name.val for c in pixels.copyChannels()] == ["ch0", "ch1", "ch2", "ch3", "ch4"]
    indexes = "select index(c) from Pixels p join p.channels c where p.image.id = :id order by index(c)"
    rows = lab.store.project(alice, indexes, omero.sys.ParametersI().addId(saved.id.val))
    assert [row[0].val for row in rows] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("offset", "limit", "expected"),
    [(0, 2, ["a", "b"]), (1, 2, ["b", "c"]), (0, 0, []), (-1, 2, ["a", "b"]), (100, 2, [])],
)
@pytest.mark.parametrize("fetch", ["", "left outer join fetch d.imageLinks"])
def test_a_page_counts_roots(
    lab: Lab, alice: Caller, given: Any, fetch: str, offset: int, limit: int, expected: list[str]
) -> None:
    for name in "abc":
        lab.imported(alice, 2, lab.dataset(alice, name)) if name == "a" else lab.dataset(alice, name)
    page = given().page(offset, limit)
    found = lab.store.objects(alice, f"select d from Dataset d {fetch} order by d.name", page)
    assert [d.name.val for d in found] == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("p.sizeX", rint(32)),
        ("p.id", rlong(1)),
        ("count(p)", rlong(1)),
        ("sum(p.sizeX)", rlong(32)),
        ("avg(p.sizeX)", omero.rtypes.rdouble(32.0)),
        ("max(p.sizeX)", rint(32)),
        ("p.sizeX / 5", rint(6)),
        ("p.id * 2 + 1", rlong(3)),
        ("p.sha1", rstring("Pending...")),
        ("lower(p.sha1)", rstring("pending...")),
        ("length(p.sha1)", rint(10)),
        ("coalesce(p.methodology, 'none')", rstring("none")),
        ("case when p.sizeX = 32 then 1 else 0 end", rint(1)),
        ("cast(p.id as string)", rstring("1")),
        ("str(p.id)", rstring("1")),
        ("p.sha1 || 'x'", rstring("Pending...x")),
        ("size(p.channels)", rint(1)),
        ("round(p.sizeX / 3.0)", omero.rtypes.rdouble(11.0)),
        ("replace(p.sha1, '...', '!')", rstring("Pending!")),
        ("type(p)", omero.rtypes.rclass("ome.model.core.Pixels")),
    ],
)
def test_values_have_the_types_of_the_real_server(lab: Lab, alice: Caller, image: Any, expression: str, expected: Any) -> None:
    lab.save(alice, image())
    found = lab.store.project(alice, f"select {expression} from Pixels p", None)
    assert (type(found[0][0]), found[0][0].val) == (type(expected), expected.val)


def test_entities_permissions_and_maps_in_a_projection(lab: Lab, alice: Caller, filled: Any) -> None:
    row = lab.store.project(alice, "select d, d.details.owner, d.details.permissions from Dataset d", None)[0]
    assert row[0].val.id.val == filled.id.val
    assert not row[1].val.isLoaded() or row[1].val.id.val == alice.user
    assert unwrap(row[2].val["perm"]) == "rwr---"
    assert row[2].val["canChown"].val is True
    text = "select new map(d.id as id, d as dataset_details_permissions) from Dataset d"
    found = lab.store.project(alice, text, None)[0][0].val
    assert found["id"].val == filled.id.val
    assert found["dataset_details_permissions"].val["canChown"].val is False


def test_a_single_null_is_an_empty_row_and_nulls_among_others_stay(lab: Lab, alice: Caller, filled: Any) -> None:
    assert lab.store.project(alice, "select d.description from Dataset d", None) == [[]]
    assert lab.store.project(alice, "select d.name, d.description from Dataset d", None)[0][1] is None
    assert lab.store.project(alice, "select sum(p.sizeX) from Pixels p where p.id = -1", None) == [[]]


@pytest.mark.parametrize(
    "where",
    [
        "a.class = MapAnnotation",
        "a.class = '/map/'",
        "type(a) = MapAnnotation",
        "a.ns is null and a.class = MapAnnotation",
        "a.textValue is null",
        "exists (select l from ImageAnnotationLink l where l.child = a and l.child.class = MapAnnotation)",
        "a.id in (select b.id from MapAnnotation b)",
    ],
)
def test_classes_and_subqueries_find_the_map_annotation(lab: Lab, alice: Caller, filled: Any, where: str) -> None:
    found = lab.store.objects(alice, f"select a from Annotation a where {where}", None)
    assert [type(a) for a in found] == [m.MapAnnotationI]
    assert [(v.name, v.value) for v in found[0].getMapValue()] == [("k1", "v1"), ("k2", "v2"), ("k1", "again")]


def test_the_image_of_a_marker_is_found_by_the_value(lab: Lab, alice: Caller, filled: Any, given: Any) -> None:
    text = "select a.id from Image i join i.annotationLinks l join l.child a join a.mapValue mv where mv.value = :uuid"
    assert len(lab.store.project(alice, text, given(uuid="again"))) == 1
    assert lab.store.project(alice, text, given(uuid="nothing")) == []


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("d.imageLinks is not empty", 1),
        ("d.imageLinks is empty", 0),
        ("d.description = null", 1),
        ("d.name like 'Data%'", 1),
        ("d.name like 'DATA%'", 0),
        ("lower(d.name) = 'data b'", 1),
        ("d.details.creationEvent.time > '2020-01-01'", 1),
        ("d.details.owner.omeName = 'alice'", 1),
        ("not exists (select l from ProjectDatasetLink l where l.child = d.id)", 1),
        ("d.id = :ids", 0),
        ("d.id in (:ids)", 1),
        ("d.id in :ids", 1),
    ],
)
def test_conditions(lab: Lab, alice: Caller, filled: Any, given: Any, where: str, expected: int) -> None:
    found = lab.store.objects(alice, f"select d from Dataset d where {where}", given(ids=[filled.id.val, 99]))
    assert len(found) == expected


def test_nulls_come_last_as_in_postgresql(lab: Lab, alice: Caller) -> None:
    for name in ("with", "without"):
        dataset = m.DatasetI()
        dataset.name, dataset.description = rstring(name), rstring("text") if name == "with" else None
        lab.save(alice, dataset)
    rows = lab.store.project(alice, "select d.name from Dataset d order by d.description", None)
    assert [row[0].val for row in rows] == ["with", "without"]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("select d from NoSuch d", omero.QueryException, "NoSuch is not mapped"),
        ("select d from dataset d", omero.QueryException, "dataset is not mapped"),
        (
            "select d from Dataset d where d.nosuch = 1",
            omero.QueryException,
            "could not resolve property: nosuch of: ome.model.containers.Dataset",
        ),
        ("select d from Dataset x", omero.QueryException, "Invalid path: 'd'"),
        ("select d.imageLinks.child.id from Dataset d", omero.QueryException, "illegal attempt to dereference collection"),
        ("select a.mapValue from MapAnnotation a", omero.QueryException, "not an entity"),
        ("select index(l) from Dataset d join d.imageLinks l", omero.QueryException, "index"),
        ("select median(d.id) from Dataset d", omero.QueryException, "median is not supported near line 1, column 8"),
        ("select lower(d.id) from Dataset d", omero.ApiUsageException, "could not execute query"),
        ("select type() from Dataset d", omero.QueryException, "type is not supported"),
        ("select d.id, size(d.imageLinks) from Dataset d", omero.ApiUsageException, "could not execute query"),
        ("select d.id from Dataset d where size(d.imageLinks) > 3", omero.ValidationException, "could not execute query"),
        ("select d.id from Dataset d where d.id = ?", omero.ApiUsageException, "Expected positional parameter count: 1"),
        ("select d from Dataset d orderby d.id", omero.QueryException, "unexpected token: orderby near line 1, column 46"),
        ("select d.name, count(l) from Dataset d join d.imageLinks l", omero.ApiUsageException, "GROUP BY"),
        ("select l.id from Dataset d join fetch d.imageLinks l", omero.QueryException, "owner of the fetched"),
        ("delete from Dataset", omero.ApiUsageException, "Not supported for DML"),
        ("select d from Dataset d where d.id = :id", omero.ApiUsageException, "Null parameters not allowed: id"),
    ],
)
def test_what_is_wrong_is_refused_as_by_the_real_server(
    lab: Lab, alice: Caller, text: str, error: type[omero.ServerError], message: str
) -> None:
    with pytest.raises(error) as raised:
        lab.store.project(alice, text, None)
    assert message in raised.value.message


def test_a_value_that_cannot_be_sent_is_refused_once_there_is_a_row(lab: Lab, alice: Caller) -> None:
    mask = m.MaskI()
    mask.bytes = bytes([255])
    roi = m.RoiI()
    for text in ("select d.details from Dataset d", "select x.bytes from Mask x"):
        assert lab.store.project(alice, text, None) == []
    roi.addShape(mask)
    lab.save(alice, roi)
    dataset = lab.dataset(alice)
    with pytest.raises(omero.ApiUsageException, match=r"Unsupported conversion to rtype from \[B:\[B@[0-9a-f]+"):
        lab.store.project(alice, "select x.bytes from Mask x", None)
    event = dataset.details.creationEvent.id.val
    with pytest.raises(omero.ApiUsageException) as raised:
        lab.store.project(alice, "select d.details from Dataset d", None)
    inside = f"perm=rwr---;user={alice.user};group={alice.group};create={event};update={event}"
    assert raised.value.message.endswith(f"Dataset$Details:Details:{{{inside}}}")


@pytest.mark.parametrize("where", ["d.id = :x", "d.id in (:x)"])
@pytest.mark.parametrize("value", [rint(1), rstring("1"), rlist([rint(1)])])
def test_types_of_parameters_are_strict(lab: Lab, alice: Caller, given: Any, where: str, value: Any) -> None:
    with pytest.raises(omero.InternalException):
        lab.store.project(alice, f"select d.id from Dataset d where {where}", given(x=value))


def test_lists_may_be_long_but_not_empty(lab: Lab, alice: Caller, filled: Any, given: Any) -> None:
    text = "select d.id from Dataset d where d.id in (:ids)"
    assert len(lab.store.project(alice, text, given(ids=list(range(5000))))) == 1
    with pytest.raises(omero.ApiUsageException, match="unexpected end of subtree"):
        lab.store.project(alice, text, given(ids=[]))
    with pytest.raises(omero.InternalException):
        lab.store.project(alice, text, given(ids=list(range(40000))))


@pytest.mark.parametrize("operator", ["or", "and"])
def test_a_condition_may_have_many_parts(lab: Lab, alice: Caller, filled: Any, operator: str) -> None:
    parts = f" {operator} ".join(f"i.id <> {number}" for number in range(1000, 3000))
    assert lab.store.project(alice, f"select count(i) from Image i where {parts}")[0][0].val == lab.count("Image") > 0


def test_get_tells_missing_unknown_and_abstract(lab: Lab, alice: Caller) -> None:
    with pytest.raises(omero.ValidationException, match=re.escape("[ome.model.containers.Dataset#999999]")):
        lab.store.get(alice, "Dataset", [999999])
    for name in ("NoSuch", "Annotation"):
        with pytest.raises(omero.ApiUsageException, match="does not specify a valid class"):
            lab.store.get(alice, name, [1])


@pytest.mark.parametrize(
    "text",
    [
        "select i.id from Image i join i.annotationLinks l join l.child a join a.mapValue v where v.value = :x",
        "select l.parent.id from FilesetAnnotationLink l join l.child a where a.ns = :x",
        "select i.id from Dataset d join d.imageLinks l join l.child i where d.name = :x",
        "select o from OriginalFile o where o.hash = :x",
    ],
)
def test_what_clients_look_up_is_found_by_indexes(lab: Lab, alice: Caller, text: str) -> None:
    statement = translate(text, {"x": Argument(type="RString", value="x")}, Access(alice, lab.store._rows).row_filter)
    plan = [row["detail"] for row in lab.store._rows.named(f"EXPLAIN QUERY PLAN {statement.sql}", statement.bound)]
    assert [step for step in plan if step.startswith("SCAN")] == []


@pytest.mark.parametrize(
    ("name", "context", "seen"),
    [
        ("alice", "gpriv", {"alice in gpriv"}),
        ("gown", "gpriv", {"alice in gpriv", "bob in gpriv"}),
        ("root", "gpriv", {"alice in gpriv", "bob in gpriv"}),
        ("bob", "gro", {"alice in gro"}),
        ("alice", ALL_GROUPS, {"alice in gpriv", "alice in gro"}),
        ("gown", ALL_GROUPS, {"alice in gpriv", "bob in gpriv", "alice in gro"}),
        ("root", ALL_GROUPS, {"alice in gpriv", "bob in gpriv", "alice in gro", "carol in gother"}),
        ("carol", ALL_GROUPS, {"carol in gother"}),
    ],
)
def test_who_sees_which_rows(lab: Lab, name: str, context: str | int, seen: set[str]) -> None:
    for owner, group in (("alice", "gpriv"), ("bob", "gpriv"), ("alice", "gro"), ("carol", "gother")):
        lab.dataset(lab.caller(owner, group), f"{owner} in {group}")
    caller = lab.caller(name, context)
    assert {row[0].val for row in lab.store.project(caller, "select d.name from Dataset d", None)} == seen
    subquery = "select count(e) from Experimenter e where e.id = 0 and exists (select d from Dataset d where d.name = :name)"
    for dataset in ("alice in gpriv", "bob in gpriv", "alice in gro", "carol in gother"):
        found = lab.store.project(caller, subquery, omero.sys.ParametersI().addString("name", dataset))
        assert found[0][0].val == (dataset in seen), dataset


def test_one_sees_ones_own_rows_of_a_group_that_one_has_left(lab: Lab) -> None:
    alice = lab.caller("alice", "gro")
    lab.dataset(alice)
    lab.dataset(lab.caller("bob", "gro"), "of bob")
    gone = replace(alice, group=ALL_GROUPS, member_of=(lab.group("grw"), 1))
    assert [d.name.val for d in lab.store.objects(gone, "select d from Dataset d", None)] == ["data"]


def test_owners_are_loaded_in_a_look_at_all_groups_only(lab: Lab, alice: Caller) -> None:
    lab.dataset(alice)
    one = lab.store.objects(alice, "select d from Dataset d", None)[0]
    every = lab.store.objects(replace(alice, group=ALL_GROUPS), "select d from Dataset d", None)[0]
    assert not one.details.owner.isLoaded()
    assert every.details.owner.omeName.val == "alice"


def test_the_plate_of_an_image_and_the_entries_of_a_file_come_unasked(lab: Lab, alice: Caller, image: Any) -> None:
    fileset = lab.imported(alice, 1)
    plate, well, sample = m.PlateI(), m.WellI(), m.WellSampleI()
    plate.name = rstring("plate")
    sample.image = m.ImageI(fileset.copyImages()[0].id.val, False)
    well.addWellSample(sample)
    plate.addWell(well)
    lab.save(alice, plate)
    found = lab.store.objects(alice, "select i from Image i", None)[0]
    assert [one.well.id.val for one in found.copyWellSamples()] == [1]
    files = {f.name.val: f for f in lab.store.objects(alice, "select f from OriginalFile f", None)}
    assert [one.clientPath.val for one in files["a.fake"].copyFilesetEntries()] == ["data/a.fake"]
    assert lab.store.get(alice, "Image", [found.id.val])[0].sizeOfWellSamples() == 1
    # Saved again as it came, nothing is the matter.
    assert lab.save(alice, found).id.val == found.id.val


def test_the_region_of_a_shape_comes_unasked(lab: Lab, alice: Caller) -> None:
    roi = m.RoiI()
    roi.addShape(m.PointI())
    lab.save(alice, roi)
    assert lab.store.objects(alice, "select s from Shape s", None)[0].roi.isLoaded()


@pytest.mark.parametrize("select", ["select d from", "from"])
def test_a_projection_gives_a_root_with_a_fetched_collection_once(lab: Lab, alice: Caller, filled: Any, select: str) -> None:
    lab.dataset(alice, "other")
    text = f"{select} Dataset d left outer join fetch d.imageLinks order by d.id desc"
    rows = lab.store.project(alice, text, None)
    assert [row[0].val.name.val for row in rows] == ["other", "Data B"]
    page = omero.sys.ParametersI().page(1, 1)
    assert [row[0].val.sizeOfImageLinks() for row in lab.store.project(alice, text, page)] == [4]


def test_an_object_is_no_parameter(lab: Lab, alice: Caller, given: Any) -> None:
    dataset = omero.rtypes.robject(m.DatasetI(1, False))
    with pytest.raises(Ice.UnknownException, match=r"and not: ome\.model\.containers\.Dataset"):
        lab.store.project(alice, "select l.id from DatasetImageLink l where l.parent = :d", given(d=dataset))


def test_objects_of_a_query_that_gives_values_are_refused_once_there_is_a_row(lab: Lab, alice: Caller) -> None:
    for text in ("select d.id from Dataset d", "select d, e from Dataset d, Experimenter e"):
        assert lab.store.objects(alice, text, None) == []
    lab.dataset(alice)
    with pytest.raises(ValuesSelected):
        lab.store.objects(alice, "select d.id from Dataset d", None)


def test_the_indexes_of_a_list_have_a_least_and_a_greatest(lab: Lab, alice: Caller, image: Any) -> None:
    saved = lab.save(alice, image("many", channels=3))
    text = f"select minIndex(c), maxIndex(c) from Image i join i.pixels p join p.channels c where i.id = {saved.id.val}"
    assert [value.val for value in lab.store.project(alice, text, None)[0]] == [0, 2]


def test_a_selected_reference_is_joined(lab: Lab, alice: Caller, image: Any, filled: Any) -> None:
    lab.save(alice, image("without a fileset"))
    assert len(lab.store.project(alice, "select i.id, i.fileset.id from Image i", None)) == 5
    assert len(lab.store.project(alice, "select i.fileset from Image i", None)) == 4
    assert len(lab.store.objects(alice, "select distinct i.fileset from Image i", None)) == 1


def test_member_of_a_class_asks_for_the_class(lab: Lab, alice: Caller, filled: Any) -> None:
    found = lab.store.objects(alice, "select a from Annotation a where a member of ome.model.annotations.MapAnnotation", None)
    assert [type(a) for a in found] == [m.MapAnnotationI]
    assert lab.store.project(alice, "select a.id from Annotation a where a not member of Annotation", None) == []


def test_a_list_and_a_map_have_places_for_nulls(lab: Lab, alice: Caller) -> None:
    lab.dataset(alice)
    for form in ("list(d.name, d.description)", "map(d.name as name, d.description as description)"):
        found = lab.store.project(alice, f"select new {form} from Dataset d", None)[0][0].val
        assert None in (found if isinstance(found, list) else found.values())


@pytest.mark.parametrize(("name", "seen"), [("alice", "<hidden>"), ("gown", "carol"), ("root", "carol"), ("carol", "carol")])
def test_names_of_users_without_a_common_group_are_hidden(lab: Lab, name: str, seen: str) -> None:
    caller = lab.caller(name, "gro" if name != "carol" else "gother")
    text = "from Experimenter e where e.omeName = 'carol'"
    assert [value.val for value in lab.store.project(caller, f"select e.omeName, e.firstName {text}", None)[0]] == [seen, seen]
    found = lab.store.objects(caller, f"select e {text}", None)[0]
    assert found.firstName.val == seen
    assert lab.store.get(caller, "Experimenter", [found.id.val])[0].omeName.val == seen


def test_the_condition_of_an_outer_join_counts_for_its_id_too(lab: Lab, alice: Caller, filled: Any) -> None:
    text = "select l.id from DatasetImageLink l left outer join l.child i with i.name = :name where i.id > 0"
    for name, expected in (("image 0", 1), ("no such", 0)):
        assert len(lab.store.project(alice, text, omero.sys.ParametersI().addString("name", name))) == expected
