# SPDX-License-Identifier: GPL-2.0-or-later
"""What a worker reports comes whole or not at all, and nobody waits for anybody."""

from __future__ import annotations

import multiprocessing
import os
import select

import pytest

from omero_adi_plugin.errors import DatabaseDown, OmeroDown, OmeroReadOnly, SurroundingsDown
from omero_adi_plugin.service.reports import Trouble, Voice


def test_a_trouble_becomes_the_error_again_that_it_was() -> None:
    for error in (OmeroDown(where="h:1", why="dark"), OmeroReadOnly(where="h:1"), DatabaseDown(where="d", why="gone")):
        again = Trouble.of(error).error()
        assert (type(again), str(again)) == (type(error), str(error))


def test_the_longest_report_is_written_in_one_piece() -> None:
    ear, mouth = multiprocessing.Pipe(duplex=False)
    with ear, mouth:
        Voice(mouth).tell(Trouble.of(SurroundingsDown("\N{MICROSCOPE}" * 10_000)))
        assert len(os.read(ear.fileno(), 1 << 20)) < select.PIPE_BUF


def test_a_service_that_does_not_listen_holds_nobody_up_and_hears_the_newest_later() -> None:
    ear, mouth = multiprocessing.Pipe(duplex=False)
    with ear, mouth:
        voice = Voice(mouth)
        for number in range(2000):
            voice.tell(Trouble(kind=SurroundingsDown, why=f"{number} " + "x" * 300))
        heard = []
        while ear.poll():
            heard.append(ear.recv())
        assert len(heard) < 2000, "the pipe never was full, so this proves nothing"
        voice.tell(None)
        assert ear.recv() is None


def test_a_worker_whose_service_is_gone_is_not_disturbed() -> None:
    ear, mouth = multiprocessing.Pipe(duplex=False)
    ear.close()
    with mouth:
        Voice(mouth).tell(None)


@pytest.mark.parametrize("trouble", [None, Trouble(kind=OmeroDown, why="dark")])
def test_what_is_known_is_not_told_again(trouble: Trouble | None) -> None:
    ear, mouth = multiprocessing.Pipe(duplex=False)
    with ear, mouth:
        voice = Voice(mouth)
        voice.tell(trouble)
        voice.tell(trouble)
        assert ear.recv() == trouble
        assert not ear.poll()
