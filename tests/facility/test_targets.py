# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets: what is let through is what the server then links, and what is refused has a reason, before anything is imported."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import Ice
import omero
import pytest
from omero.model import DatasetI, DatasetImageLinkI, ImageI, PlateI, ScreenI, ScreenPlateLinkI
from omero.rtypes import rstring

from omero_adi_plugin.errors import TargetMissing, TargetNotWritable
from omero_adi_plugin.orders import Order, Target, TargetKind
from omero_adi_plugin.pipeline.preflight import check_order
from omero_adi_plugin.sessions import Logins, OmeroSession
from tests.fixtures.facility import Facility
from tests.fixtures.laboratory import make_group, make_user
from tests.fixtures.samples import Samples


@dataclass(frozen=True, kw_only=True)
class Staff:
    """The owner of the targets; of the same group a member, its owner (the head), and a member who is an administrator too."""

    logins: Logins
    group: str
    owner: str
    member: str
    head: str
    administrator: str

    @contextmanager
    def session(self, who: str, group: str | None = None) -> Iterator[OmeroSession]:
        with self.logins.act_for(getattr(self, who), group or self.group) as session:
            yield session

    def target(self, kind: TargetKind, who: str = "owner", group: str | None = None) -> Target:
        with self.session(who, group) as session:
            return Target(kind=kind, id=made(session, kind))


def made(session: OmeroSession, kind: TargetKind) -> int:
    container = DatasetI() if kind is TargetKind.DATASET else ScreenI()
    container.setName(rstring("target"))
    return int(session.factory.getUpdateService().saveAndReturnObject(container).getId().getValue())


def staff_of(logins: Logins, permissions: str) -> Staff:
    admin = logins.service().factory.getAdminService()
    group = make_group(admin, permissions=permissions)
    owner, member, head = (make_user(admin, group) for _ in range(3))
    admin.setGroupOwner(admin.lookupGroup(group), admin.lookupExperimenter(head))
    administrator = make_user(admin, group, "system")
    return Staff(logins=logins, group=group, owner=owner, member=member, head=head, administrator=administrator)


def check(session: OmeroSession, target: Target) -> None:
    check_order(Order(uuid="u", user=session.user, group=session.group, target=target, entries=()), session=session)


def link_to(session: OmeroSession, target: Target) -> None:
    """What the server does at the end of an import: an image or a plate of the user is linked to the target."""
    link: Any
    if target.kind is TargetKind.DATASET:
        image = ImageI()
        image.setName(rstring("image"))
        link = DatasetImageLinkI()
        link.setParent(DatasetI(target.id, False))
        link.setChild(image)
    else:
        plate = PlateI()
        plate.setName(rstring("plate"))
        link = ScreenPlateLinkI()
        link.setParent(ScreenI(target.id, False))
        link.setChild(plate)
    session.factory.getUpdateService().saveAndReturnObject(link)


@pytest.mark.parametrize("kind", TargetKind)
@pytest.mark.parametrize(
    ("permissions", "may", "sees"),
    [
        ("rw----", {"owner"}, {"head", "administrator"}),
        ("rwr---", {"owner", "head", "administrator"}, {"member"}),
        ("rwra--", {"owner", "head", "administrator"}, {"member"}),
        ("rwrw--", {"owner", "member", "head", "administrator"}, set()),
    ],
)
def test_who_may_put_something_into_it(logins: Logins, kind: TargetKind, permissions: str, may: set[str], sees: set[str]) -> None:
    staff = staff_of(logins, permissions)
    target = staff.target(kind)
    for who in ("owner", "member", "head", "administrator"):
        with staff.session(who) as session:
            if who in may:
                check(session, target)
                link_to(session, target)
                continue
            with pytest.raises(TargetNotWritable if who in sees else TargetMissing):
                check(session, target)
            with pytest.raises((omero.SecurityViolation, omero.ValidationException, Ice.Exception)):
                link_to(session, target)


@pytest.mark.parametrize("kind", TargetKind)
def test_it_must_be_there_in_the_group_of_the_order_and_of_the_right_kind(logins: Logins, kind: TargetKind) -> None:
    staff = staff_of(logins, "rwrw--")
    admin = logins.service().factory.getAdminService()
    other = make_group(admin, permissions="rwrw--")
    admin.addGroups(admin.lookupExperimenter(staff.owner), [admin.lookupGroup(other)])
    another = TargetKind.SCREEN if kind is TargetKind.DATASET else TargetKind.DATASET
    of_system = Target(kind=kind, id=made(logins.service(), kind))  # which the server would link without a word
    mine = staff.target(kind)
    with staff.session("owner") as session:
        check(session, mine)
        for target in (
            of_system,
            staff.target(kind, group=other),
            Target(kind=another, id=mine.id + 10_000_000),
            Target(kind=kind, id=2**63 - 1),
        ):
            with pytest.raises(TargetMissing, match=f"There is no {target} that '{staff.owner}' can see in the group"):
                check(session, target)


def test_an_order_into_nothing_or_into_somebody_elses_fails_before_anything_is_imported(
    facility: Facility, samples: Samples, logins: Logins
) -> None:
    lab, path = facility.lab, samples.image()
    admin = logins.service().factory.getAdminService()
    colleague = make_user(admin, lab.group)
    missing = facility.order(path, destination_id=str(2**62))
    as_screen = facility.order(path, destination_type="Screen", destination_id=str(lab.screen))
    foreign = facility.order(path, user_name=colleague)
    facility.carry_out(missing, as_screen, foreign)
    for order, says in (
        (missing, f"There is no Dataset:{2**62}"),
        (as_screen, f"is an image, which cannot be put into Screen:{lab.screen}"),
        (foreign, f"'{colleague}' may not add anything to Dataset:{lab.dataset}"),
    ):
        stage, description = facility.end(order)
        assert stage == "Import Failed"
        assert description is not None
        assert says in description
    assert lab.images() == []
    assert lab.markers() == {}


def test_a_plate_goes_into_a_screen_only(facility: Facility, samples: Samples) -> None:
    plate = samples.folder / "p&plates=1&plateRows=1&plateCols=2&fields=1&plateAcqs=1.fake"
    plate.touch()
    wrong = facility.order(str(plate))
    right = facility.order(str(plate), destination_type="Screen", destination_id=str(facility.lab.screen))
    facility.carry_out(wrong, right)
    stage, description = facility.end(wrong)
    assert stage == "Import Failed"
    assert description is not None
    assert f"is a plate, which cannot be put into Dataset:{facility.lab.dataset}" in description
    assert facility.end(right) == ("Import Completed", None)
    assert facility.lab.markers() == {(right, str(plate)): 1}


def test_the_command_line_ends_with_the_same_sentence(facility: Facility, samples: Samples) -> None:
    lab = facility.lab
    done = facility.services.run(
        "import", samples.image(), "--into", f"Dataset:{2**62}", "--for", lab.user, "--in-group", lab.group
    )
    assert done.returncode == os.EX_DATAERR
    assert f"There is no Dataset:{2**62} that '{lab.user}' can see in the group '{lab.group}'" in done.stderr
