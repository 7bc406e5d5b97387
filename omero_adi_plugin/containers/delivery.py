# SPDX-License-Identifier: GPL-2.0-or-later
"""Delivery: what a converter has made comes to where it is kept beside the source, and never over anything of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from omero_adi_plugin.containers.rooms import Room
    from omero_adi_plugin.preprocessing import ConvertedFile


class PlaceTaken(Exception):
    """Somebody else has just put something into a place; nothing of this set is where it was to be: ask for `places` again."""

    def __init__(self, *, place: str) -> None:
        super().__init__(f"{place} is taken")
        self.place = place


class OutputLost(Exception):
    """An output is neither in the room nor where it is kept: only another conversion brings it back."""

    def __init__(self, *, name: str) -> None:
        super().__init__(f"{name} is lost")
        self.name = name


def places(
    room: Room,
    sets: Sequence[Sequence[str]],
    *,
    order: str,
    ours: Mapping[str, str] | None = None,
    check: Callable[[], None] = lambda: None,
) -> dict[str, ConvertedFile]:
    """Say where outputs are to be kept; writes nothing.

    Parameters
    ----------
    sets : sequence of sequences of str
        Names of outputs. Those of one set are read together, and refer to each other by their names.
    order : str
        The order's uuid; its beginning tells names apart.
    ours : mapping of str to str, optional
        Places, by name, that an earlier run of this same conversion has given.
    check : callable
        Called while contents are compared; what it raises ends that.

    Returns
    -------
    dict of str to ConvertedFile
        By name, each with the size and time of what will be there.

    Raises
    ------
    ProcessedNotWritable
        A link is in the way.
    OutputLost
        An output is not in the room, nor in its place of an earlier run.
    """
    raise NotImplementedError


def deliver(
    room: Room,
    files: Sequence[ConvertedFile],
    *,
    check: Callable[[], None] = lambda: None,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> tuple[ConvertedFile, ...]:
    """Bring the outputs of one set to their places; can be called again whatever happened in between.

    Parameters
    ----------
    files : sequence of ConvertedFile
        What `places` has said of one set.
    check : callable
        Called now and then; what it raises ends the work.
    on_bytes : callable
        Told how many bytes were copied.

    Returns
    -------
    tuple of ConvertedFile
        The same, each with the size and time that it has in its place.

    Raises
    ------
    PlaceTaken
        By something else, in the meantime.
    OutputLost
        See there.
    ProcessedNotWritable
        Nothing can be written there, or a link is in the way.
    NoRoomToConvert
        The disk is full.
    FileMissing, ImportInterrupted
        The source's folder is gone, or its file system does not answer.
    """
    raise NotImplementedError
