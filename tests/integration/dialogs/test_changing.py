# SPDX-License-Identifier: GPL-2.0-or-later
"""Retry Or Cancel Import: whose orders can be changed, and what is said; in this process, on a real session."""

from __future__ import annotations

from uuid import uuid4

import pytest

from omero_adi_plugin.dialogs.changing import retry_or_cancel
from tests.fixtures.administrators import add_administrator
from tests.fixtures.laboratory import Lab
from tests.fixtures.office import Office


def test_ones_own_orders_are_ordered_again_and_called_off(office: Office, lab: Lab) -> None:
    failed, pending = office.tracking.order(lab, "/data/a.tif", stage="Import Failed"), office.tracking.order(lab, "/data/b.tif")
    answer = office.ask(retry_or_cancel, lab.user, Action="Retry", Orders=failed)
    assert (answer.good, answer.message) == (True, f"Order {failed} is ordered again.")
    assert office.tracking.stages(failed) == ["Import Failed", "Import Pending"]
    assert office.tracking.description(failed) == f"ordered again by {lab.user}@OMERO.web"
    answer = office.ask(retry_or_cancel, lab.user, Action="Cancel", Orders=f"{failed}, {pending}\n{failed};")
    assert (answer.good, answer.message) == (True, f"Order {failed} is cancelled. Order {pending} is cancelled.")
    assert office.tracking.description(pending).startswith(f"Cancelled by {lab.user}@OMERO.web on ")


def test_again_also_imports_what_was_deleted(office: Office, lab: Lab) -> None:
    uuid = office.tracking.order(lab, "/data/a.tif", stage="Import Failed")
    office.ask(retry_or_cancel, lab.user, Action="Retry", Orders=uuid, Import_Again=True)
    details = office.tracking.sql("SELECT detail FROM adi_action WHERE uuid = %s", uuid)
    assert details == [("with what is not visible in OMERO any more",)]


@pytest.mark.parametrize("action", ["Retry", "Cancel"])
def test_anothers_order_is_refused_as_if_there_were_none(office: Office, lab: Lab, action: str) -> None:
    with office.lab(group=lab.group) as other:
        stage = "Import Failed" if action == "Retry" else "Import Pending"
        theirs, none = office.tracking.order(other, "/data/a.tif", stage=stage), str(uuid4())
    restricted = add_administrator(office.server, ["WriteOwned", "DeleteOwned"])
    for user in (lab.user, restricted):
        told = [office.ask(retry_or_cancel, user, Action=action, Orders=uuid) for uuid in (theirs, none)]
        assert [answer.message.replace(uuid, "X") for answer, uuid in zip(told, (theirs, none), strict=True)] == [
            "There is no order 'X'. \"Import Status\" shows the newest ones."
        ] * 2
        assert not told[0].good
    assert office.tracking.stages(theirs) == [stage]
    assert office.tracking.sql("SELECT * FROM adi_action WHERE uuid = %s", theirs) == []
    for user in ("root", add_administrator(office.server, ["Sudo"])):
        uuid = office.tracking.order(other, "/data/a.tif", stage=stage)
        assert office.ask(retry_or_cancel, user, Action=action, Orders=uuid).good


def test_one_refusal_keeps_no_other_order_from_being_changed(office: Office, lab: Lab) -> None:
    ended, pending = office.tracking.order(lab, "/data/a.tif", stage="Import Failed"), office.tracking.order(lab, "/data/b.tif")
    answer = office.ask(retry_or_cancel, lab.user, Action="Cancel", Orders=f"{ended} {pending}")
    assert not answer.good
    assert answer.message == (
        f"1 order of 2 refused. Order '{ended}' has ended (Import Failed), so there is nothing to cancel."
        f" Order {pending} is cancelled."
    )


@pytest.mark.parametrize(("action", "orders"), [("Retry", " , ;"), ("Explode", "x"), ("Retry", " ".join(map(str, range(101))))])
def test_what_makes_no_sense_is_refused(office: Office, lab: Lab, action: str, orders: str) -> None:
    answer = office.ask(retry_or_cancel, lab.user, Action=action, Orders=orders)
    assert not answer.good
    assert set(answer.outputs) == {"Message"}
