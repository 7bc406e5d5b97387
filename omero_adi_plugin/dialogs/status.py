# SPDX-License-Identifier: GPL-2.0-or-later
"""Status: "Import Status" tells where orders stand, in a few words and in a table that is attached."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from omero_adi_plugin.dialogs.run import Said
from omero_adi_plugin.dialogs.sheet import as_csv, attach
from omero_adi_plugin.dialogs.wording import counted, for_people, shortened, words_of
from omero_adi_plugin.errors import AdiError, OrderNotFound, UsageError, quoted
from omero_adi_plugin.ice import translated
from omero_adi_plugin.orders import SAFE_UUID, FileStep
from omero_adi_plugin.stages import OrderState
from omero_adi_plugin.tracking.advice import Terms
from omero_adi_plugin.tracking.queue import limits_of
from omero_adi_plugin.tracking.views import list_orders, order_status, order_summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.dialogs.run import Desk
    from omero_adi_plugin.tracking.views import OrderStatus

ALL_STATES = "all"
"""What is chosen in the dialog for orders in any state."""

USUAL_LIMIT, MOST_ORDERS = 50, 500
"""How many orders are listed."""

MOST_LINES = 10
"""So many of them are in the message; all are in the table."""

OUTPUT = "File_Annotation"

_LIST_HEADS = ("Order", "State", "Ordered", "Changed", "User", "Group", "Target", "Attempts", "Message")

_FILE_HEADS = ("Entry", "Output", "Step", "Fileset", "Images", "Plates", "Message")

_OPEN_FOR_ALL = ("system", "user")
"""Groups of OMERO's own, in which everybody can read what has a known number, whatever their permissions say (facts 6)."""


def import_status(desk: Desk) -> Said:
    """Tell where the orders of the dialog's parameters stand, or one of them."""
    uuid = desk.text("Order")
    return _one(desk, uuid) if uuid else _list(desk)


# --- several


def _list(desk: Desk) -> Said:
    orders = [_with_times(desk, each) for each in _listed(desk)]
    if not orders:
        return Said(message="There are no such orders.")
    rows = [_row(each) for each in _writable(desk, orders)]
    counts = Counter(each.state for each in orders)
    words = ", ".join(f"{counts[state]} {state or 'unknown'}" for state in [*OrderState, None] if counts[state])
    lines = [f"{counted(len(orders), 'order')}: {words}."]
    lines += [f"• {_line(each, desk)}" for each in orders[:MOST_LINES]]
    if len(orders) > MOST_LINES:
        lines.append(f"• … and {len(orders) - MOST_LINES} more.")
    return _with_table(desk, lines, "import_orders.csv", _LIST_HEADS, rows, left_out=len(orders) - len(rows))


def _listed(desk: Desk) -> list[OrderStatus]:
    person, user = desk.person, desk.text("User") or None
    if not person.sees_all:
        if user not in {None, person.name}:
            raise UsageError("Only administrators may look at the orders of others. Leave User empty.")
        user = person.name
    state = desk.text("State") or ALL_STATES
    given = desk.value("Limit")
    limit = USUAL_LIMIT if given is None else int(given)
    if not 1 <= limit <= MOST_ORDERS:
        raise UsageError(f"{limit} is no number of orders to list. Give one from 1 to {MOST_ORDERS}.")
    return list_orders(desk.database, state=None if state == ALL_STATES else OrderState(state), user=user, limit=limit)


def _with_times(desk: Desk, order: OrderStatus) -> OrderStatus:
    """Return an order of a list with its trail, in which the times are."""
    try:
        return order_summary(desk.database, order.uuid)
    except OrderNotFound:  # deleted meanwhile
        return order


def _line(order: OrderStatus, desk: Desk) -> str:
    whose = f" of {order.user}" if order.user != desk.person.name else ""
    why = f": {shortened(for_people(order.description), length=120)}" if order.description else "."
    return f"{order.uuid}{whose}, {order.target}, {order.state or order.stage}{why}"


def _row(order: OrderStatus) -> tuple[object, ...]:
    times = [stage.time for stage in order.stages or () if stage.time]
    ordered, changed = (times[0], times[-1]) if times else (None, None)
    words = for_people(order.description or "")
    return (order.uuid, order.state, ordered, changed, order.user, order.group, order.target, order.attempt, words)


# --- one


def _one(desk: Desk, uuid: str) -> Said:
    order = reachable(desk, uuid, seen=True)
    order = order_status(desk.database, order.uuid, terms=_terms(desk))
    files = order.files or ()
    rows = [
        (file.entry, file.output, file.step, file.fileset, _ids(file.images), _ids(file.plates), for_people(file.error or ""))
        for file in files
    ]
    lines = [
        f"Order {order.uuid} of {order.user} into {order.target} of group {quoted(order.group)}: {_standing(order)}.",
        *([shortened(for_people(order.description), length=500)] if order.description else []),
        *([_files(order)] if files else []),
        *([for_people(order.advice)] if order.advice else []),
    ]
    if not files:
        return Said(message="\n".join(lines))
    allowed = _writable(desk, [order])
    name = f"import_order_{order.uuid}.csv" if SAFE_UUID.fullmatch(order.uuid) else "import_order.csv"
    return _with_table(desk, lines, name, _FILE_HEADS, rows if allowed else [], left_out=0 if allowed else 1)


def reachable(desk: Desk, uuid: str, *, seen: bool = False) -> OrderStatus:
    """Return an order if the person may change it, or see it.

    Raises
    ------
    OrderNotFound
        There is none, or it is another's: nobody is told which.
    """
    order = order_summary(desk.database, uuid)
    if not (desk.person.may_see(order.user) if seen else desk.person.may_change(order.user)):
        raise OrderNotFound(uuid=uuid)
    return order


def _terms(desk: Desk) -> Terms:
    settings = desk.settings
    return Terms(
        limits=limits_of(settings),
        lease_seconds=settings.lease_seconds,
        pending_days=settings.pending_days,
        keep_days=settings.keep_days,
    )


def _standing(order: OrderStatus) -> str:
    times = [stage.time for stage in order.stages or () if stage.time]
    since = f" since {times[-1].astimezone():%Y-%m-%d %H:%M}" if times else ""
    return f"{order.state or order.stage}{since}, {counted(order.attempt, 'attempt')}"


def _files(order: OrderStatus) -> str:
    counts = Counter(file.step for file in order.files or ())
    steps = ", ".join(f"{counts[step]} {step}" for step in FileStep if counts[step])
    return f"{counted(len(order.files or ()), 'set')} of files: {steps}."


def _ids(ids: Sequence[int]) -> str:
    return " ".join(map(str, ids))


# --- the table


def _writable(desk: Desk, orders: Sequence[OrderStatus]) -> list[OrderStatus]:
    """Return the orders that may stand in a file of the session's group, which its members may be able to read.

    One's own may. Another's may where those can read it who see its images anyway, or nobody.
    """
    with translated("asking for the group's permissions", desk.session.where):
        permissions = desk.session.factory.getAdminService().getEventContext().groupPermissions
    private = permissions is not None and not permissions.isGroupRead() and desk.session.group not in _OPEN_FOR_ALL
    return [each for each in orders if private or each.user == desk.person.name or each.group == desk.session.group]


def _with_table(
    desk: Desk, lines: Sequence[str], name: str, heads: Sequence[str], rows: Sequence[Sequence[object]], *, left_out: int
) -> Said:
    """Return what is to be said, with a table attached; that what is known is told even if the table cannot be."""
    words = list(lines)
    if left_out:
        words.append(
            f"Not in the attached table, because the group {quoted(desk.session.group)} can read it: "
            f"{counted(left_out, 'order')} of others in other groups."
        )
    objects, good = {}, True
    description = "Where orders of imports stand; replaced when Import Status is run again."
    if rows:
        try:
            objects = {OUTPUT: attach(desk.session, name=name, content=as_csv(heads, rows), description=description)}
        except AdiError as error:
            good = False
            words.append(f"The table could not be attached. {words_of(error)}")
    return Said(message="\n".join(words), good=good, objects=objects)
