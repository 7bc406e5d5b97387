# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors of the store that are no exceptions of OMERO's own.

    StoreError
    ├── GraphFailed    a Delete2 cannot be carried out; clients get it as a response, omero.cmd.GraphException
    ├── NoSuchUser     a name or id that is no Experimenter
    ├── NoSuchGroup    a name or id that is no ExperimenterGroup
    └── NameTaken      a user or group of that name exists

Everything else that the store refuses is raised as OMERO's exception (omero.ValidationException and so on).
"""


class StoreError(Exception):
    """Something that the store cannot do."""


class GraphFailed(StoreError):
    """A graph request was refused, and nothing was changed; the text is that of the real server."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


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
