# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors of the store that are no exceptions of OMERO's own.

    StoreError
    ├── GraphFailed    a graph request is refused; clients get it as a response, omero.cmd.GraphException
    ├── BadOption      a child option of a graph request that says nothing, or two things at once
    ├── BadTarget      a graph request names a class that it does not work on
    ├── NotCopied      a Duplicate comes upon imported files
    ├── NotInGroup     the destination of a Chgrp2 is a group that the caller is not in
    ├── NoGroupOwned   a Chown2 by somebody who owns no group
    ├── NoSuchUser     a name or id that is no Experimenter
    ├── NoSuchGroup    a name or id that is no ExperimenterGroup
    ├── NameTaken      a user or group of that name exists
    ├── StillReferred  a user or group cannot go, because there are rows of it
    └── ValuesSelected objects are wanted of a query that gives values; what clients get depends on the operation

Everything else that the store refuses is raised as OMERO's exception (omero.ValidationException and so on).
"""


class StoreError(Exception):
    """Something that the store cannot do."""


class GraphFailed(StoreError):
    """A graph request was refused, and nothing was changed; the text is that of the real server."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadOption(StoreError):
    """A child option cannot be understood; the text is that of the real server."""


class BadTarget(StoreError):
    """A request does not work on rows of that class."""

    def __init__(self, *, kind: str) -> None:
        super().__init__(f"cannot target {kind}")
        self.kind = kind


class NotCopied(StoreError):
    """Imported files cannot be duplicated here."""

    def __init__(self, *, path: str) -> None:
        super().__init__(f"not implemented by the development server: to duplicate imported files, as {path}")
        self.path = path


class NotInGroup(StoreError):
    """The caller may not move anything into that group."""

    def __init__(self, *, group: int) -> None:
        super().__init__("not a member of the chgrp destination group")
        self.group = group


class NoGroupOwned(StoreError):
    """The caller leads no group, so that there is nobody whose data it could give away."""

    def __init__(self) -> None:
        super().__init__("not an owner of any group")


class NoSuchUser(StoreError):
    """There is no such Experimenter."""

    def __init__(self, *, user: str | int) -> None:
        super().__init__(f"No such experimenter: {user}")
        self.user = user


class NoSuchGroup(StoreError):
    """There is no such ExperimenterGroup."""

    def __init__(self, *, group: str | int) -> None:
        super().__init__(f"No such group: {group}")
        self.group = group


class NameTaken(StoreError):
    """A user or group of that name exists already."""

    def __init__(self, *, name: str) -> None:
        super().__init__(f"The name '{name}' is in use.")
        self.name = name


class StillReferred(StoreError):
    """A row cannot be deleted, because others refer to it."""

    def __init__(self, *, entity: str, row_id: int) -> None:
        super().__init__(f"Other rows refer to {entity} {row_id}.")
        self.entity, self.row_id = entity, row_id


class ValuesSelected(StoreError):
    """A query found rows, but of values, where objects are wanted."""

    def __init__(self, *, kind: str) -> None:
        super().__init__(f"The query gives values ({kind}), not objects.")
        self.kind = kind
