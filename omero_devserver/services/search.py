# SPDX-License-Identifier: GPL-2.0-or-later
"""Search: a service that finds objects by their texts and hands them out in batches."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import omero
from omero.rtypes import rlong, rtime

from omero_devserver.services.query import class_of
from omero_devserver.services.stateful import Stateful
from omero_devserver.services.text import load, matching
from omero_devserver.store.errors import ValuesSelected
from omero_devserver.wire.faults import fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.wire.servant import Call

_BATCH = 1000


class Search(Stateful):
    """Operations of ``omero.api.Search``: by full text and by HQL, narrowed to types, ids, owners and times.

    What narrows a search counts for those that are started after it.
    """

    name = ""

    def __init__(self) -> None:
        self._reset()
        self._batch = _BATCH
        self._sensitive, self._wildcard = False, False
        #: Results of each search that was started and is not yet handed out.
        self._found: deque[list[Any]] = deque()

    def _reset(self) -> None:
        self._types: tuple[str, ...] = ()
        self._ids: frozenset[int] = frozenset()
        self._owner: int | None = None
        self._created: tuple[int | None, int | None] = (None, None)

    def close(self, call: Call) -> None:
        """Forget all results."""
        self._found.clear()
        call.session.services.pop(self.name, None)

    def activeQueries(self, call: Call) -> int:
        """Count the searches whose results are not all handed out."""
        return len(self._found)

    def setBatchSize(self, call: Call, size: int) -> None:
        """Set how many objects `results` hands out at once."""
        self._batch = max(1, size)

    def getBatchSize(self, call: Call) -> int:
        """Tell how many objects `results` hands out at once."""
        return self._batch

    def setCaseSensitive(self, call: Call, sensitive: bool) -> None:
        """Take note; words are compared without regard to capitals in any case, as Lucene's analyzer does."""
        self._sensitive = sensitive

    def isCaseSensitive(self, call: Call) -> bool:
        """Tell what `setCaseSensitive` said."""
        return self._sensitive

    def setAllowLeadingWildcard(self, call: Call, allowed: bool) -> None:
        """Say whether a word may start with a wildcard."""
        self._wildcard = allowed

    def isAllowLeadingWildcard(self, call: Call) -> bool:
        """Tell whether a word may start with a wildcard."""
        return self._wildcard

    def onlyType(self, call: Call, kind: str) -> None:
        """Search among objects of one type."""
        self._types = (class_of(kind).name,)

    def onlyTypes(self, call: Call, kinds: Sequence[str]) -> None:
        """Search among objects of some types."""
        self._types = tuple(class_of(kind).name for kind in kinds)

    def onlyIds(self, call: Call, ids: Sequence[int] | None) -> None:
        """Find only objects with these ids; none means all."""
        self._ids = frozenset(ids or ())

    def onlyOwnedBy(self, call: Call, details: Any) -> None:
        """Find only what the owner in `details` has; null means everybody."""
        owner = details.owner if details is not None else None
        self._owner = owner.id.val if owner is not None else None

    def onlyCreatedBetween(self, call: Call, start: Any, end: Any) -> None:
        """Find only what was made within a time; null leaves an end open."""
        self._created = (start.val if start is not None else None, end.val if end is not None else None)

    def resetDefaults(self, call: Call) -> None:
        """Let nothing narrow the next searches."""
        self._reset()

    def clearQueries(self, call: Call) -> None:
        """Forget all results."""
        self._found.clear()

    def byFullText(self, call: Call, query: str) -> None:
        """Search for words in Lucene's language."""
        self._search(call, query, ())

    def byLuceneQueryBuilder(self, call: Call, fields: str, start: str, end: str, date: str, query: str) -> None:
        """Search for words in some fields, and within days written as `yyyymmdd`."""
        within = (_day(start), _day(end, after=1))
        self._search(call, query, [one for one in (fields or "").split(",") if one], within=within)

    def byHqlQuery(self, call: Call, hql: str, parameters: Any) -> None:
        """Run HQL that gives objects."""
        try:
            found = call.server.store.objects(call.user, hql, parameters)
        except ValuesSelected as error:
            raise fault(omero.ApiUsageException, str(error)) from None
        self._found.append([one for one in found if one is not None])

    def hasNext(self, call: Call) -> bool:
        """Tell whether there are more results."""
        while self._found and not self._found[0]:
            self._found.popleft()
        return bool(self._found)

    def next(self, call: Call) -> Any:
        """Hand out one object."""
        self._need(call)
        return self._found[0].pop(0)

    def results(self, call: Call) -> list[Any]:
        """Hand out the next batch: of one search, not of several."""
        self._need(call)
        batch, self._found[0] = self._found[0][: self._batch], self._found[0][self._batch :]
        return batch

    def _need(self, call: Call) -> None:
        if not self.hasNext(call):
            raise fault(omero.ApiUsageException, "No elements found for search.")

    def _search(
        self, call: Call, query: str, fields: Sequence[str], *, within: tuple[int | None, int | None] = (None, None)
    ) -> None:
        if not self._types:
            raise fault(omero.ApiUsageException, "Search is not restricted to a type; call onlyType first.")
        if not self._wildcard and any(word.lstrip("+-").startswith(("*", "?")) for word in (query or "").split()):
            raise fault(omero.ApiUsageException, f"A word starts with a wildcard: {query}")
        condition, values = self._narrowed(within)
        for kind in self._types:
            ids = [one for one in matching(call, kind, query, only=fields) if not self._ids or one in self._ids]
            self._found.append(load(call, kind, ids, condition=condition, **values))

    def _narrowed(self, within: tuple[int | None, int | None]) -> tuple[str, dict[str, Any]]:
        """Write the HQL condition of what narrows a search, with its parameters."""
        conditions, values = [], {}
        if self._owner is not None:
            conditions.append("o.details.owner.id = :owner")
            values["owner"] = rlong(self._owner)
        for name, (start, end) in (("created", self._created), ("within", within)):
            for side, moment, operator in (("from", start, ">="), ("to", end, "<=")):
                if moment is not None:
                    conditions.append(f"o.details.creationEvent.time {operator} :{name}_{side}")
                    values[f"{name}_{side}"] = rtime(moment)
        return " and ".join(conditions), values


def _day(text: str | None, *, after: int = 0) -> int | None:
    """Read a day written as `yyyymmdd`, some days later, as milliseconds since 1970."""
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        raise fault(omero.ApiUsageException, f"{text} is no day; write it as yyyymmdd.") from None
    return int((day + timedelta(days=after)).timestamp() * 1000)
