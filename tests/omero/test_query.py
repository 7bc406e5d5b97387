# SPDX-License-Identifier: GPL-2.0-or-later
"""IQuery as clients meet it: what it gives, and what it refuses."""

from __future__ import annotations

import uuid
from typing import Any

import Ice
import omero
import omero.model as m
import pytest
from omero.rtypes import rint, rlist, rlong, robject, rstring, unwrap

from tests.fixtures.omero import OmeroServer
from tests.fixtures.omero_client import PASSWORD, User
from tests.fixtures.waiting import wait_until

EVERY_GROUP = {"omero.group": "-1"}


def given(**values: Any) -> Any:
    parameters = omero.sys.ParametersI()
    for name, value in values.items():
        parameters.add(name, value)
    return parameters


def named(kind: Any, name: str) -> Any:
    made = kind()
    made.name = rstring(name)
    return made


@pytest.fixture
def query(client: Any) -> Any:
    return client.sf.getQueryService()


@pytest.fixture
def project(client: Any) -> Any:
    """A Project with two Datasets."""
    project = named(m.ProjectI, "project")
    for name in ("Second", "first"):
        project.linkDataset(named(m.DatasetI, name))
    return client.sf.getUpdateService().saveAndReturnObject(project)


def test_a_root_comes_once_with_its_fetched_collection(query: Any, project: Any) -> None:
    text = "select p from Project p left outer join fetch p.datasetLinks l left outer join fetch l.child where p.id = :id"
    found = query.findAllByQuery(text, given(id=project.id))
    assert [p.id.val for p in found] == [project.id.val]
    assert sorted(d.name.val for d in found[0].linkedDatasetList()) == ["Second", "first"]
    assert len(query.projection(text, given(id=project.id))) == 1
    joined = "select p from Project p join p.datasetLinks l where p.id = :id"
    assert len(query.findAllByQuery(joined, given(id=project.id))) == 2
    assert query.findByQuery(joined, given(id=project.id)).id.val == project.id.val


def test_what_is_not_fetched_cannot_be_looked_at(query: Any, project: Any) -> None:
    found = query.get("Project", project.id.val)
    with pytest.raises(omero.UnloadedEntityException):
        found.copyDatasetLinks()
    assert found.sizeOfDatasetLinks() == -1
    assert not found.details.owner.isLoaded()
    assert found.details.group.isLoaded()


def test_a_page_counts_roots(query: Any, client: Any) -> None:
    for name in ("a", "b", "c"):
        client.sf.getUpdateService().saveObject(named(m.DatasetI, name))
    for fetch in ("", "left outer join fetch d.imageLinks"):
        text = f"select d from Dataset d {fetch} order by d.name"
        assert [d.name.val for d in query.findAllByQuery(text, omero.sys.ParametersI().page(1, 1))] == ["b"]
        assert query.findAllByQuery(text, omero.sys.ParametersI().page(0, 0)) == []
    rows = query.projection("select d.name from Dataset d order by d.name", omero.sys.ParametersI().page(1, 5))
    assert unwrap(rows) == [["b"], ["c"]]


def test_values_keep_their_types(query: Any, project: Any) -> None:
    path = "p.id, p.name, p.details.creationEvent.time"
    text = f"select {path}, count(l) from Project p join p.datasetLinks l where p.id = :id"
    row = query.projection(f"{text} group by {path}", given(id=project.id))[0]
    kinds = [omero.RLong, omero.RString, omero.RTime, omero.RLong]
    assert all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True))
    assert (row[0].val, row[1].val, row[3].val) == (project.id.val, "project", 2)
    with pytest.raises(omero.ApiUsageException, match="could not execute query"):
        query.projection(text, given(id=project.id))


def test_a_single_null_is_an_empty_row(query: Any, project: Any) -> None:
    assert query.projection("select p.description from Project p where p.id = :id", given(id=project.id)) == [[]]
    row = query.projection("select p.name, p.description from Project p where p.id = :id", given(id=project.id))[0]
    assert row[1] is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select d from NoSuch d", "NoSuch is not mapped"),
        ("select d from dataset d", "dataset is not mapped"),
        ("select d from Dataset d where d.nosuch = 1", "could not resolve property: nosuch of: ome.model.containers.Dataset"),
        ("select d from Dataset d orderby d.id", "unexpected token: orderby near line 1, column 46"),
        ("select d.id from Dataset d limit 1", "unexpected token: limit"),
        ("select d.imageLinks.child.id from Dataset d", "illegal attempt to dereference collection"),
        ("", "unexpected end of subtree"),
    ],
)
@pytest.mark.parametrize("operation", ["findAllByQuery", "findByQuery", "projection"])
def test_illegal_queries_are_named(query: Any, operation: str, text: str, said: str) -> None:
    with pytest.raises(omero.QueryException) as raised:
        getattr(query, operation)(text, None)
    first, second = raised.value.message.splitlines()[:2]
    assert first == f"Illegal query:{text}"
    assert said in second


@pytest.mark.parametrize("text", ["update Dataset set name = 'x'", "delete from Dataset"])
def test_statements_that_write_are_refused(query: Any, project: Any, text: str) -> None:
    with pytest.raises(omero.ApiUsageException, match="Not supported for DML operations"):
        query.findAllByQuery(text, None)
    assert query.find("Dataset", project.linkedDatasetList()[0].id.val).name.val in ("Second", "first")


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        (None, omero.ApiUsageException),
        (given(other=rlong(1)), omero.ApiUsageException),
        (given(id=rlist([])), omero.ApiUsageException),
        (given(id=rint(1)), omero.InternalException),
        (given(id=rstring("1")), omero.InternalException),
        (given(id=robject(m.ProjectI(1, False))), Ice.UnknownException),
    ],
)
def test_parameters_are_there_and_of_the_right_type(query: Any, parameters: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        query.projection("select p.id from Project p where p.id in (:id)", parameters)


def test_values_are_no_objects(query: Any, project: Any) -> None:
    text = "select p.id from Project p where p.id = :id"
    with pytest.raises(Ice.UnknownLocalException):
        query.findAllByQuery(text, given(id=project.id))
    with pytest.raises(omero.ApiUsageException, match="Query named"):
        query.findByQuery(text, given(id=project.id))
    assert query.findAllByQuery(text, given(id=rlong(-1))) == []
    assert query.findByQuery(text, given(id=rlong(-1))) is None
    nothing = "select k from Project p left outer join p.annotationLinks l left outer join l.child k where p.id = :id"
    assert query.findByQuery(nothing, given(id=project.id)) is None


def test_several_are_not_one(query: Any, project: Any) -> None:
    with pytest.raises(omero.ApiUsageException, match="has returned more than one Object"):
        query.findByQuery("select l from ProjectDatasetLink l where l.parent.id = :id", given(id=project.id))


def test_an_object_by_its_id(query: Any, project: Any) -> None:
    assert query.get("omero.model.Project", project.id.val).name.val == "project"
    assert query.find("Project", -1) is None
    with pytest.raises(omero.ValidationException, match="No row with the given identifier exists"):
        query.get("Project", -1)
    for kind in ("NoSuch", "Annotation"):
        with pytest.raises(omero.ApiUsageException, match="does not specify a valid class"):
            query.get(kind, 1)


def test_objects_by_a_text(query: Any, client: Any) -> None:
    name = f"Name {uuid.uuid4().hex}"
    client.sf.getUpdateService().saveObject(named(m.DatasetI, name))
    assert query.findByString("Dataset", "name", name).name.val == name
    assert query.findByString("Dataset", "name", name[:-1]) is None
    assert len(query.findAllByString("Dataset", "name", name[2:-1].upper(), False, None)) == 1
    assert query.findAllByString("Dataset", "name", name.upper(), True, None) == []
    assert query.findByExample(named(m.DatasetI, name)).name.val == name
    assert len(query.findAllByExample(named(m.DatasetI, name), None)) == 1
    with pytest.raises(omero.ApiUsageException, match="could not resolve property: nosuch") as raised:
        query.findByString("Dataset", "nosuch", "x")
    assert raised.type is omero.ApiUsageException


def test_objects_by_the_words_of_their_names(query: Any, client: Any) -> None:
    word = f"word{uuid.uuid4().hex}"
    saved = client.sf.getUpdateService().saveAndReturnObject(named(m.DatasetI, f"some_{word}.tif"))
    # A real server's index takes some seconds.
    wait_until(lambda: query.findAllByFullText("Dataset", word, None), seconds=60)
    assert [d.id.val for d in query.findAllByFullText("Dataset", word.upper(), None)] == [saved.id.val]
    assert query.findAllByFullText("Dataset", f"{word}x", None) == []
    assert query.findAllByFullText("Project", word, None) == []


def test_words_may_be_wanted_unwanted_or_patterns(query: Any, client: Any) -> None:
    word = f"word{uuid.uuid4().hex}"
    names = [f"{word} alpha beta", f"{word} beta alpha", f"{word} gamma"]
    ids = [client.sf.getUpdateService().saveAndReturnObject(named(m.DatasetI, name)).id.val for name in names]
    wait_until(lambda: len(query.findAllByFullText("Dataset", word, None)) == len(names), seconds=60)
    for text, expected in (
        (f"{word} AND alpha", ids[:2]),
        (f"+{word} +gamma", ids[2:]),
        (f"{word} -gamma", ids[:2]),
        (f"{word} NOT alpha", ids[2:]),
        (f'+{word} +"alpha beta"', ids[:1]),
        (f"{word[:-3]}*", ids),
        (f"name:{word}", ids),
    ):
        assert sorted(d.id.val for d in query.findAllByFullText("Dataset", text, None)) == expected, text


def test_refresh_is_not_for_clients(query: Any, project: Any) -> None:
    with pytest.raises(omero.SecurityViolation, match="This method allows no remote access"):
        query.refresh(project)


def test_others_see_what_their_groups_let_them(query: Any, client: Any, project: Any, devserver: OmeroServer, user: User) -> None:
    stranger = f"stranger-{uuid.uuid4().hex[:8]}"
    devserver.add_user(stranger, PASSWORD, [user.other_group])
    member = f"member-{uuid.uuid4().hex[:8]}"
    devserver.add_user(member, PASSWORD, [user.other_group, user.group])
    text, one = "select p.id from Project p where p.id = :id", given(id=project.id)
    with devserver.client(stranger, PASSWORD) as other:
        assert other.sf.getQueryService().projection(text, one, EVERY_GROUP) == []
        with pytest.raises(omero.SecurityViolation, match=r"Cannot read ome\.model\.containers\.Project"):
            other.sf.getQueryService().find("Project", project.id.val)
    with devserver.client(member, PASSWORD) as other:
        assert other.sf.getQueryService().projection(text, one) == []
        assert len(other.sf.getQueryService().projection(text, one, EVERY_GROUP)) == 1
        found = other.sf.getQueryService().findByQuery("select p from Project p where p.id = :id", one, EVERY_GROUP)
        assert found.details.owner.omeName.val == user.name
