# SPDX-License-Identifier: GPL-2.0-or-later
"""Full text: which objects have the words of a search among their texts.

A real server asks a Lucene index that it fills some seconds after a save. Here the rows themselves are read, so that a name
is found at once; an object's texts are its own and those of its annotations. Of Lucene's language there are words, phrases
in quotes, the wildcards `*` and `?`, and `+`, `-`, `AND`, `NOT`; words without a sign are alternatives.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import omero.sys

from omero_devserver.model.schema import ENTITIES, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from omero_devserver.wire.servant import Call

_WORD = re.compile(r"[^\W_]+")
_PATTERN_WORD = re.compile(r"(?:[^\W_]|[*?])+")
_TERM = re.compile(r"([+-]?)(?:\w+:)?(?:\"([^\"]*)\"|(\S+))")
#: Ids in one query, below what the server's databases take.
_CHUNK = 10_000


def matching(call: Call, kind: str, query: str, *, only: Sequence[str] = ()) -> list[int]:
    """Find the ids of objects by their texts, in ascending order.

    Parameters
    ----------
    call : Call
        Who searches: only what the caller may see is found.
    kind : str
        Entity, as `Image`.
    query : str
        Words in Lucene's language.
    only : sequence of str
        Fields of the object to search in, and `annotation`; nothing means all.
    """
    terms = _terms(query or "")
    if not any(term.wanted for term in terms):
        return []
    texts = _texts(call, kind, {name.split(".")[0] for name in only})
    return sorted(identifier for identifier, words in texts.items() if _matches(terms, words))


def load(call: Call, kind: str, ids: Sequence[int], *, condition: str = "", **values: Any) -> list[Any]:
    """Load objects by id, in ascending order; those for which an HQL condition on `o` does not hold are left out."""
    found: list[Any] = []
    where = f"o.id in (:ids){f' and {condition}' if condition else ''}"
    for start in range(0, len(ids), _CHUNK):
        parameters = omero.sys.ParametersI().addIds(ids[start : start + _CHUNK])
        parameters.map.update(values)
        found += call.server.store.objects(call.user, f"select o from {kind} o where {where} order by o.id", parameters)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Term:
    """Words that must follow each other; `sign` is "+", "-" or ""."""

    words: tuple[str, ...]
    sign: str

    @property
    def wanted(self) -> bool:
        return self.sign != "-"

    def within(self, words: Sequence[str]) -> bool:
        length = len(self.words)
        return any(
            all(fnmatchcase(word, pattern) for word, pattern in zip(words[at : at + length], self.words, strict=True))
            for at in range(len(words) - length + 1)
        )


def _terms(query: str) -> list[_Term]:
    terms: list[_Term] = []
    following = ""
    for sign, phrase, word in _TERM.findall(query):
        match word:
            case "OR":
                continue
            case "AND":
                following = "+"
                terms = [_Term(words=t.words, sign=t.sign or "+") for t in terms]
            case "NOT":
                following = "-"
            case _:
                words = tuple(_PATTERN_WORD.findall((phrase or word).lower()))
                if words:
                    terms.append(_Term(words=words, sign=sign or following))
                following = ""
    return terms


def _matches(terms: Sequence[_Term], texts: Sequence[Sequence[str]]) -> bool:
    def found(term: _Term) -> bool:
        return any(term.within(words) for words in texts)

    if any(found(term) for term in terms if not term.wanted):
        return False
    needed = [term for term in terms if term.sign == "+"]
    return all(found(term) for term in needed) if needed else any(found(term) for term in terms if term.wanted)


def _texts(call: Call, kind: str, only: set[str]) -> dict[int, list[list[str]]]:
    """Words of each text of each object, by id."""
    texts: dict[int, list[list[str]]] = defaultdict(list)
    for hql in _queries(kind, only):
        for identifier, *values in call.server.store.project(call.user, hql):
            texts[identifier.val] += [_WORD.findall(value.val.lower()) for value in values if value is not None]
    return texts


def _queries(kind: str, only: set[str]) -> Iterator[str]:
    entity = ENTITIES[kind]
    own = [f"o.{f.name}" for f in entity.fields.values() if f.type == "RString" and (not only or f.name in only)]
    if own:
        yield f"select o.id, {', '.join(own)} from {kind} o"
    values = entity.fields.get("mapValue")
    if values is not None and values.kind is Kind.MAP and (not only or "mapValue" in only):
        yield f"select o.id, v.name, v.value from {kind} o join o.mapValue v"
    if "annotationLinks" in entity.fields and (not only or "annotation" in only):
        yield f"select o.id, a.textValue from {kind} o join o.annotationLinks l join l.child a where a.textValue is not null"
        yield f"select o.id, v.name, v.value from {kind} o join o.annotationLinks l join l.child a join a.mapValue v"
