# SPDX-License-Identifier: GPL-2.0-or-later
"""Images: which one runs when an order names a converter, and having it on this host."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omero_adi_plugin.containers.engine import MISSING
from omero_adi_plugin.containers.names import Name, Pattern
from omero_adi_plugin.containers.private import host
from omero_adi_plugin.errors import ConverterMissing, ConverterNotAllowed, PodmanDown, quoted
from omero_adi_plugin.logs import event

if TYPE_CHECKING:
    from omero_adi_plugin.containers.engine import Answer, Engine
    from omero_adi_plugin.settings import Settings

_log = logging.getLogger(__name__)

PULL_SECONDS = 1800
"""How long a registry may be silent while an image is fetched."""

_LONGEST_WORDS = 160

_NOT_THERE = (
    "manifest unknown",
    "name unknown",
    "not found",
    "is denied",
    ": denied",
    "unauthorized",
    "repository name not known",
    "no image found",
)
"""What podman says when a registry has answered that it has no such image for us, or does not give it. There is no type for that:
the status is 200, and the error is a text in the stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image on this host.

    name:   with its registry, and its tag or digest.
    id:     of the image here: what was looked at is what runs, whatever becomes of the name.
    digest: `sha256:…`, by which registries know it.
    """

    name: str
    id: str
    digest: str


def choose(container: str, *, settings: Settings) -> Name:
    """Return the name of the image that runs for an order's converter.

    Raises
    ------
    OrderMalformed
        It is no name of an image.
    ConverterNotAllowed
        The site does not let it run.
    """
    asked = Name.read(container)
    found = [each for text in settings.allowed_containers if (each := Pattern.read(text).fitting(asked)) is not None]
    if not found:
        raise ConverterNotAllowed(container=container)
    return next((each for each in found if each == asked), found[0])  # a pattern without digest lets it run as it was asked for


def have(engine: Engine, name: Name, *, container: str, settings: Settings) -> Image:
    """Return an image, fetched from its registry where the settings want that.

    Raises
    ------
    ConverterMissing
        There is none of that name.
    PodmanDown
        Podman or the registry does not answer.
    """
    policy = settings.converter_pull
    found = None if policy == "always" and not name.is_local else _look(engine, name)
    if found is None:
        if policy == "never" or name.is_local:
            never = "" if name.is_local else ", and none is fetched (`converter_pull: never`)"
            raise ConverterMissing(container=container, words=f"no image of that name is on {host()}{never}")
        _pull(engine, name, container=container)
        found = _look(engine, name)
    if found is None:
        raise ConverterMissing(container=container, words="its registry has sent another image")
    return found


def _look(engine: Engine, name: Name) -> Image | None:
    answer = engine.ask("GET", f"/images/{name}/json")
    if answer.status == MISSING:
        return None
    if answer.refused:
        raise _unfit(answer)
    told = answer.value
    try:
        return Image(name=str(name), id=told["Id"], digest=_digest(told, name))
    except (KeyError, TypeError) as error:
        raise _unfit(answer) from error


def _digest(told: Any, name: Name) -> str:  # noqa: ANN401 (JSON)
    """Return by which digest registries know it: of several, that under which it was asked for, or of its own repository."""
    known = [str(each).rpartition("@") for each in told.get("RepoDigests") or ()]
    own = [digest for repository, _, digest in known if repository == name.repository]
    if name.digest in own:
        return str(name.digest)
    return str((own or [digest for _, _, digest in known] or [told.get("Digest") or f"sha256:{told['Id']}"])[0])


def _pull(engine: Engine, name: Name, *, container: str) -> None:
    event(_log, logging.INFO, "image.fetching", image=str(name))
    answer = engine.ask("POST", "/images/pull", parameters={"reference": str(name), "policy": "always"}, seconds=PULL_SECONDS)
    words = answer.words if answer.refused else _trouble(answer.body)
    if words is None:
        event(_log, logging.INFO, "image.fetched", image=str(name))
        return
    event(_log, logging.WARNING, "image.not_fetched", image=str(name), why=words)
    if any(each in words.lower() for each in _NOT_THERE):
        raise ConverterMissing(container=container, words=f"its registry says: {quoted(words, length=_LONGEST_WORDS)}")
    said = quoted(words, length=_LONGEST_WORDS)
    raise PodmanDown(host=host(), why=f"the image {quoted(container, length=_LONGEST_WORDS)} could not be fetched ({said})")


def _trouble(stream: bytes) -> str | None:
    """Return what went wrong while an image was fetched: the stream of podman's news has it, each a JSON object on a line."""
    for line in stream.splitlines():
        try:
            news = json.loads(line)
        except ValueError:
            continue
        if isinstance(news, dict) and news.get("error"):
            return " ".join(str(news["error"]).split())
    return None


def _unfit(answer: Answer) -> PodmanDown:
    return PodmanDown(host=host(), why=f"podman does not tell of an image ({quoted(answer.words)})")
