# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors of HQL, by what a client gets to see.

HqlError                 the query is wrong or not supported: omero.QueryException
├── DmlError             no query but an update or delete statement: omero.ApiUsageException
├── NullParameterError   a parameter without a value: omero.ApiUsageException
├── PositionalError      a parameter without a name: omero.ApiUsageException
├── EmptyListError       an empty list where values are wanted: omero.ApiUsageException
├── ParameterTypeError   a parameter of another type than its column: omero.InternalException
├── TooManyValuesError   a longer list than the database takes: omero.InternalException
├── UnsendableError      a value that has no RType: omero.ApiUsageException
└── NotExecutableError   SQL that the database refuses: omero.ApiUsageException, or omero.ValidationException
"""


class HqlError(Exception):
    """The query cannot be run; the text says why, worded as Hibernate words it where a real server was recorded."""


class DmlError(HqlError):
    """An update, delete or insert statement."""

    def __init__(self, *, text: str) -> None:
        super().__init__(f"Not supported for DML operations [{text}]")


class NullParameterError(HqlError):
    """A named parameter of the query has no value."""

    def __init__(self, *, name: str) -> None:
        super().__init__(f"Null parameters not allowed: {name}")
        self.name = name


class PositionalError(HqlError):
    """The query has parameters without names, and clients can give values to named ones only."""

    def __init__(self, *, count: int) -> None:
        super().__init__(f"Expected positional parameter count: {count}, actual parameters: []")


class EmptyListError(HqlError):
    """A list without elements, which Hibernate turns into `in ()`."""

    def __init__(self, *, text: str) -> None:
        super().__init__(f"unexpected end of subtree [{text}]")


class ParameterTypeError(HqlError):
    """A parameter that Hibernate cannot cast: types are strict, an rint is no long."""

    def __init__(self, *, name: str, wanted: str, given: str) -> None:
        super().__init__(f"Parameter {name} is compared with {wanted} but given as {given}.")
        self.name, self.wanted, self.given = name, wanted, given


class TooManyValuesError(HqlError):
    """A list with more values than PostgreSQL's driver can bind."""

    def __init__(self, *, name: str, most: int) -> None:
        super().__init__(f"Parameter {name} has more than {most} values.")


class UnsendableError(HqlError):
    """A value is selected that cannot be sent to a client."""

    def __init__(self, *, what: str) -> None:
        super().__init__(f"Unsupported conversion to rtype from {what}")


class NotExecutableError(HqlError):
    """A query that is right as HQL, but whose SQL the database of a real server refuses (recorded).

    in_select: it was refused because of its select clause; clients then see another exception.
    """

    def __init__(self, *, why: str, in_select: bool = True) -> None:
        super().__init__(f"could not execute query; {why}")
        self.in_select = in_select
