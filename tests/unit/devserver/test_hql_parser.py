# SPDX-License-Identifier: GPL-2.0-or-later
"""HQL text to tokens and trees."""

import pytest

from omero_devserver.hql import tree
from omero_devserver.hql.errors import DmlError, HqlError
from omero_devserver.hql.lexer import TokenKind, tokenize
from omero_devserver.hql.names import with_full_names
from omero_devserver.hql.parser import parse


def test_tokens_keep_their_place_and_strings_their_quotes() -> None:
    tokens = tokenize("select 'it''s', :id\n from a.b where x<>1.5")
    assert [(t.kind, t.text) for t in tokens] == [
        (TokenKind.WORD, "select"),
        (TokenKind.STRING, "it's"),
        (TokenKind.SYMBOL, ","),
        (TokenKind.PARAMETER, "id"),
        (TokenKind.WORD, "from"),
        (TokenKind.WORD, "a.b"),
        (TokenKind.WORD, "where"),
        (TokenKind.WORD, "x"),
        (TokenKind.SYMBOL, "<>"),
        (TokenKind.NUMBER, "1.5"),
        (TokenKind.END, ""),
    ]
    assert (tokens[4].line, tokens[4].column) == (2, 2)


def test_a_query_becomes_this_tree() -> None:
    assert parse(
        "select i.id as n from Image i left outer join fetch i.pixels p where i.id in (:ids) order by i.name desc"
    ) == tree.Query(
        select=tree.Select(
            items=(tree.SelectItem(expression=tree.Path(("i", "id")), alias="n"),), distinct=False, form=tree.Form.ROW
        ),
        sources=(
            tree.Source(
                path=tree.Path(("Image",)),
                alias="i",
                joins=(tree.Join(path=tree.Path(("i", "pixels")), alias="p", outer=True, fetch=True, condition=None),),
            ),
        ),
        where=tree.In(tree.Path(("i", "id")), (tree.Parameter("ids"),), False),
        group_by=(),
        having=None,
        order_by=(tree.Order(expression=tree.Path(("i", "name")), descending=True),),
    )


def test_and_binds_closer_than_or_and_times_closer_than_plus() -> None:
    where = parse("from Image i where i.a = 1 or i.b = 2 and i.c = 1 + 2 * 3").where
    assert isinstance(where, tree.Logic)
    assert where.operator == "or"
    assert isinstance(where.right, tree.Logic)
    assert where.right.operator == "and"
    assert where.right.right == tree.Comparison(
        "=",
        tree.Path(("i", "c")),
        tree.Arithmetic("+", tree.Literal(1), tree.Arithmetic("*", tree.Literal(2), tree.Literal(3))),
    )


@pytest.mark.parametrize("alias", ["group", "map", "index"])
def test_words_of_the_language_may_name_things(alias: str) -> None:
    assert parse(f"select {alias}.id from ExperimenterGroup {alias}").sources[0].alias == alias


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("select d from Dataset d orderby d.id", "unexpected token: orderby near line 1, column 25"),
        ("select d.id from Dataset d limit 1", "unexpected token: limit near line 1, column 28"),
        ("select d.id from Dataset d where d.id in ()", "unexpected end of subtree"),
        ("", "unexpected end of subtree"),
        ("select d.id from Dataset d; select 1", "unexpected char: ';'"),
        ("select d from Dataset d right join d.imageLinks l", "right joins are not supported near line 1, column 25"),
        (
            "select d from Dataset d where d.id >=\n all (select e.id from Dataset e)",
            "all .* is not supported near line 2, column 2",
        ),
        ("select new Thing(d.id) from Dataset d", "new thing"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(HqlError, match=message):
        parse(text)


@pytest.mark.parametrize("text", ["update Dataset set name='x'", "delete from Dataset"])
def test_statements_that_write_are_refused(text: str) -> None:
    with pytest.raises(DmlError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select d from Dataset d", "select d from ome.model.containers.Dataset d"),
        ("from Dataset,\n Image", "from ome.model.containers.Dataset,\n ome.model.core.Image"),
        ("delete from Dataset", "delete from ome.model.containers.Dataset"),
        ("update Dataset set name = 'from Image'", "update ome.model.containers.Dataset set name = 'from Image'"),
        ("from dataset where a.class = Image", "from dataset where a.class = Image"),
        ("from ome.model.core.Image i", "from ome.model.core.Image i"),
        ("select trim(both from Image) from Image", "select trim(both from Image) from ome.model.core.Image"),
        ("select extract(year from time) from 'Image", "select extract(year from time) from 'Image"),
    ],
)
def test_classes_of_from_clauses_get_their_packages(text: str, expected: str) -> None:
    assert with_full_names(text) == expected
