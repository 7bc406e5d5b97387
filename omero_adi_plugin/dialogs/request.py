# SPDX-License-Identifier: GPL-2.0-or-later
"""Request: what somebody has asked for in "Import Files", checked against OMERO and the disk before anything is ordered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from omero_adi_plugin.dialogs.paths import named_in, split
from omero_adi_plugin.errors import UsageError, quoted
from omero_adi_plugin.orders import Target, TargetKind
from omero_adi_plugin.pipeline.preflight import check_allowed, check_order
from omero_adi_plugin.pipeline.roots import Roots, folders_of
from omero_adi_plugin.sessions.membership import check_membership
from omero_adi_plugin.tracking.contract import Preprocessing
from omero_adi_plugin.tracking.submit import order_of

if TYPE_CHECKING:
    from omero_adi_plugin.dialogs.run import Desk

MOST_ORDERS = 100
"""So many orders one dialog places: a person has to keep track of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where images are to go: the Dataset or Screen, and what people call it. `group` is its own."""

    target: Target
    name: str
    group: str

    def __str__(self) -> str:
        return f"{self.target.kind} {quoted(self.name)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be ordered.

    orders: the paths of each order.
    """

    place: Place
    orders: tuple[tuple[str, ...], ...]
    converter: str = ""
    parameters: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, desk: Desk) -> Self:
        """Read the parameters of the dialog; from here on the session works in the group of the target.

        Raises
        ------
        UsageError
            They make no sense.
        OrderFailed
            An order of this could only fail: the sentence says why.
        SurroundingsDown, ConfigurationError, TryAgain
            Nobody can say at the moment.
        """
        place = _place(desk)
        roots = Roots.of(desk.settings, place.group)
        folders = [str(folder) for folder in folders_of(desk.settings, place.group)]
        paths = named_in(desk.text("Paths"), folders=folders, roots=roots)
        converter = desk.text("Converter")
        parameters = _parameters(desk.text("Converter_Parameters"))
        if parameters and not converter:
            raise UsageError("There are parameters for a converter, and no converter. Name one, or leave its parameters out.")
        one = desk.flag("One_Order", default=True)
        if not one and len(paths) > MOST_ORDERS:
            raise UsageError(
                f"An order for each of {len(paths):,} paths is too much; {MOST_ORDERS} are the most. Tick One Order: what fails "
                "of one order keeps nothing else of it from being imported."
            )
        request = cls(
            place=place,
            orders=(tuple(paths),) if one else tuple((path,) for path in paths),
            converter=converter,
            parameters=parameters,
        )
        request.check(desk)
        return request

    def check(self, desk: Desk) -> None:
        """Check as the service will do it, before anything is ordered; raises as `read`."""
        if self.converter:
            check_allowed(self.converter, settings=desk.settings)
        paths = [path for order in self.orders for path in order]
        order = order_of(
            user=desk.person.name,
            group=self.place.group,
            target=self.place.target,
            files=paths,
            preprocessing=self.preprocessing,
        )
        check_order(order, session=desk.session)

    @property
    def preprocessing(self) -> Preprocessing | None:
        """What a container is to make of the files first, as a row."""
        if not self.converter:
            return None
        return Preprocessing(container=self.converter, extra_params=dict(self.parameters) or None)


def _place(desk: Desk) -> Place:
    """Return where the images are to go, and have the session work there.

    Raises
    ------
    UsageError
        There is not exactly one such place.
    NotInGroup, GroupForNobody
        It lies in a group in which the user can have no images.
    """
    kind = TargetKind(desk.text("Data_Type"))
    ids = list(dict.fromkeys(desk.value("IDs") or ()))
    if len(ids) != 1:
        chosen = "none is" if not ids else f"{len(ids)} are"
        raise UsageError(f"Choose one {kind} to import into: {chosen} chosen.")
    query = f"select t.name, t.details.group.id, t.details.group.name from {kind} t where t.id = :id"  # noqa: S608 (one of two)
    found = desk.session.query(query, all_groups=True, id=ids[0])
    if not found:
        raise UsageError(f"There is no {kind} {ids[0]} that you can see. Choose one that exists.")
    [[name, group_id, group]] = found
    check_membership(desk.session, user=desk.person.name, group=group)
    if group_id != desk.session.group_id:
        desk.work_in(group_id)
    return Place(target=Target(kind=kind, id=ids[0]), name=name, group=group)


def _parameters(text: str) -> tuple[tuple[str, str], ...]:
    """Read `name=value` of each line, or between semicolons."""
    found: dict[str, str] = {}
    for part in split(text):
        name, sign, value = (each.strip() for each in part.partition("="))
        name = name.removeprefix("--")
        if not (name and sign):
            raise UsageError(f"{quoted(part)} is no parameter for a converter. Write name=value, several with `;` between them.")
        if name in found:
            raise UsageError(f"The parameter {quoted(name)} for the converter is given twice. Leave one of them out.")
        found[name] = value
    return tuple(found.items())
