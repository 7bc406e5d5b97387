# SPDX-License-Identifier: GPL-2.0-or-later
"""Every exception of Ice and OMERO has a meaning here, told by its type."""

from __future__ import annotations

import Glacier2
import Ice
import omero
import pytest

from omero_adi_plugin.errors import AdiError, ConnectionBroken, OmeroDown, ServerTrouble
from omero_adi_plugin.ice import translated, words

SESSION = "0f8fad5b-d9cb-469f-a165-70867728950e"


def subclasses(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(deeper for below in kind.__subclasses__() for deeper in subclasses(below))]


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (Ice.ConnectionRefusedException(), OmeroDown),
        (Ice.ConnectTimeoutException(), OmeroDown),
        (Ice.DNSException(), OmeroDown),
        (omero.ShutdownInProgress(), OmeroDown),
        (Ice.ConnectionLostException(), ConnectionBroken),
        (Ice.InvocationTimeoutException(), ConnectionBroken),
        (Ice.ProtocolException("SSL error occurred for new outgoing connection"), ConnectionBroken),
        (Ice.UnmarshalOutOfBoundsException(), ServerTrouble),
        (Ice.ObjectNotExistException(), ConnectionBroken),
        (Ice.UnknownLocalException(), ConnectionBroken),
        (Glacier2.SessionNotExistException(), ConnectionBroken),
        (omero.SessionTimeoutException(), ConnectionBroken),
        (omero.RemovedSessionException(), ConnectionBroken),
        (omero.ClientError("No session"), ConnectionBroken),
        (omero.DatabaseBusyException(), ServerTrouble),
        (omero.InternalException(), ServerTrouble),
        (omero.SecurityViolation(), ServerTrouble),
        (Ice.UnknownException(), ServerTrouble),
    ],
)
def test_an_exception_means_what_its_type_says(error: Exception, meaning: type[AdiError]) -> None:
    with pytest.raises(meaning) as caught, translated("trying", "omero.example:4064"):
        raise error
    assert caught.value.__cause__ is error


def test_no_exception_of_ice_gets_through() -> None:
    kinds = [kind for kind in subclasses(Ice.Exception) if kind not in (Ice.Exception, Ice.LocalException, Ice.UserException)]
    assert len(kinds) > 80
    for kind in kinds:
        with pytest.raises(AdiError), translated("trying", "omero.example:4064"):
            raise kind


def test_what_is_no_trouble_of_omero_passes_unchanged() -> None:
    with pytest.raises(KeyError), translated("trying", "omero.example:4064"):
        raise KeyError("a bug")


def test_a_servers_words_are_one_line_without_session_keys() -> None:
    error = omero.SecurityViolation(None, None, f"No matching roles found in [lab] for session {SESSION}\nat ome.Class.method")
    assert words(error) == "SecurityViolation: No matching roles found in [lab] for session …"
