# SPDX-License-Identifier: GPL-2.0-or-later
"""What keeps a worker that has lost its order from spoiling what the next one has done, even if it does not know that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from omero_adi_plugin.errors import LeaseLost, ServerTrouble
from omero_adi_plugin.orders import FileStep
from omero_adi_plugin.pipeline.progress import Progress
from omero_adi_plugin.tracking.database import Database
from omero_adi_plugin.tracking.losses import bury
from omero_adi_plugin.tracking.queue import Queue
from tests.fixtures.runs import Runs


@pytest.fixture
def others(runs: Runs, database_url: str) -> Iterator[Runs]:
    """Another worker on the same orders, with a connection of its own."""
    with closing(Database(database_url, name="another")) as database:
        yield Runs(runs.lab, database, Queue(database, lease_seconds=60), runs.samples, runs.settings)


class Takeover:
    """At the right moment the order goes to another worker, which carries it out to its end.

    The late one learns nothing: a suspended host, say, has not counted the time by its clock (clock_gettime(2)).
    """

    def __init__(self, others: Runs) -> None:
        self._others, self.happened = others, False

    def __call__(self) -> None:
        self.happened = True
        bury(self._others.database, owner="me:1", why="it was silent", counts=False)
        claim = self._others.queue.claim(owner="another:2")
        assert claim is not None
        self._others.run(claim)
        self._others.queue.complete(claim.lease)

    def before_its_fileset_is_made(self) -> dict[str, Any]:
        return {"on_import": lambda *_: self()}

    def before_it_is_linked(self) -> dict[str, Any]:
        def on_progress(progress: Progress) -> None:
            if progress.step is FileStep.CREATED:
                self()

        return {"on_progress": on_progress}


@pytest.mark.parametrize("moment", [Takeover.before_its_fileset_is_made, Takeover.before_it_is_linked])
def test_a_worker_that_does_not_know_of_the_takeover_brings_nothing_in(
    runs: Runs, others: Runs, moment: Callable[[Takeover], dict[str, Any]]
) -> None:
    file = runs.samples.three_images()
    late, takeover = runs.order(file), Takeover(others)
    with pytest.raises((LeaseLost, ServerTrouble)):  # OMERO knows nothing any more of what the other has deleted
        runs.run(late, **moment(takeover))
    assert takeover.happened
    with pytest.raises(LeaseLost):
        runs.queue.complete(late.lease)
    assert runs.lab.markers() == Counter({(late.text.uuid, file): 1})
    owned = "select f.id from Fileset f where f.details.owner.id = :user"
    filesets = runs.lab.session.query(owned, user=runs.lab.session.user_id)
    assert len(filesets) == 1
    assert len(runs.lab.images()) == 3
    assert all(len(runs.lab.key_values(image)) == 1 for image in runs.lab.images())
