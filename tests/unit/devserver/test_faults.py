# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever goes wrong in a method becomes an exception that Ice can send."""

from __future__ import annotations

import errno
import os

import Ice
import omero
import pytest

from omero_devserver.wire.faults import as_ice


def test_what_the_operating_system_refuses_is_a_resource_error() -> None:
    sent = as_ice(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/a.tif"), where="IFoo.bar")
    assert isinstance(sent, omero.ResourceError)
    assert sent.message == "/data/a.tif (No space left on device)"
    assert isinstance(as_ice(OSError("odd"), where="IFoo.bar"), omero.ResourceError)


def test_a_fault_of_the_server_is_an_internal_exception_that_names_the_operation() -> None:
    sent = as_ice(KeyError("x"), where="IFoo.bar")
    assert isinstance(sent, omero.InternalException)
    assert sent.message == "IFoo.bar: 'x'"


@pytest.mark.parametrize("error", [omero.SecurityViolation(None, None, None), Ice.ObjectNotExistException()])
def test_exceptions_of_omero_and_ice_pass_without_null_texts(error: Exception) -> None:
    sent = as_ice(error, where="IFoo.bar")
    assert sent is error
    if isinstance(sent, omero.ServerError):
        assert (sent.message, sent.serverStackTrace, sent.serverExceptionClass) == ("", "", "ome.conditions.SecurityViolation")
