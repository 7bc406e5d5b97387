# SPDX-License-Identifier: GPL-2.0-or-later
"""Readiness: what `omero adi check` says of converters: podman, their folder, and which images orders ask for."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from omero_adi_plugin.containers.engine import Engine
from omero_adi_plugin.containers.images import choose, have
from omero_adi_plugin.containers.names import Name
from omero_adi_plugin.containers.specification import limits_ignored
from omero_adi_plugin.errors import ConverterMissing, ConverterNotAllowed, OrderMalformed, PodmanDown, quoted
from omero_adi_plugin.pipeline.access import Access
from omero_adi_plugin.tracking.check import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_adi_plugin.pipeline.access import ServerAccount
    from omero_adi_plugin.settings import Settings
    from omero_adi_plugin.tracking.check import Asked

MOST_NAMED = 3
"""So many images are named in a sentence."""

LONGEST_IMAGE = 120

_ALLOW = "If they are to run, add them to `containers: allow:` in the settings."


def readiness(settings: Settings, asked: Sequence[Asked], *, account: ServerAccount | None) -> list[Finding]:
    """Look at what converters need; where none may run and no order asks for one, podman is not looked for.

    Parameters
    ----------
    settings : Settings
        All of them.
    asked : sequence of Asked
        Which converters the orders of the last days ask for.
    account : ServerAccount or None
        The account that runs OMERO.server; None: nobody knows.
    """
    refused = [each for each in asked if not _may_run(each.container, settings)]
    if not settings.allowed_containers:
        if not refused:
            words = "No converter may run (`containers: allow:`), and no order of the last days asks for one."
            return [Finding(name="converters", level=Level.OK, words=words)]
        return [_refused(refused, "No converter may run (`containers: allow:`)")]
    found = [_refused(refused, "Some converters may not run")] if refused else [_all_may_run()]
    return [*found, _folder(settings.converter_temp, account), *_podman(settings)]


def _may_run(container: str, settings: Settings) -> bool:
    try:
        choose(container.strip(), settings=settings)
    except (ConverterNotAllowed, OrderMalformed):
        return False
    return True


def _all_may_run() -> Finding:
    return Finding(name="converters", level=Level.OK, words="Every converter that the orders of the last days ask for may run.")


def _refused(refused: Sequence[Asked], what: str) -> Finding:
    orders = sum(each.orders for each in refused)
    ask = "1 order of the last days asks" if orders == 1 else f"{orders} orders of the last days ask"
    named = [f"{quoted(each.container, length=LONGEST_IMAGE)} (as order {each.newest})" for each in refused[:MOST_NAMED]]
    more = f" and {len(refused) - MOST_NAMED} others" if len(refused) > MOST_NAMED else ""
    words = f"{what}, and {ask} for {', '.join(named)}{more}."
    return Finding(name="converters", level=Level.WARNING, words=words, remedy=_ALLOW)


def _folder(folder: Path, account: ServerAccount | None) -> Finding:
    """Look at `converter_temp`, as this account."""
    place = Path(os.path.realpath(folder))
    why = "is not there" if not place.is_dir() else _not_writable(place)
    if why is None and not Access(account).to_folder(str(place)):
        why = f"cannot be looked into by '{account.name if account else ''}', the account that runs OMERO.server"
    if why is None:
        words = f"Converters can write to '{folder}', and OMERO.server can read there."
        if account is None:
            words = f"Converters can write to '{folder}'; whether OMERO.server can read there, nobody can say from here."
        return Finding(name="converter folder", level=Level.OK, words=words)
    return Finding(
        name="converter folder",
        level=Level.ERROR,
        words=f"'{folder}', where converters are to write to (`converter_temp`), {why}: orders with a converter wait.",
        remedy="Make that folder, for the account that runs the service to write to, and the one that runs OMERO.server to read, "
        "under the same path; or correct the setting.",
    )


def _not_writable(folder: Path) -> str | None:
    """Return why nothing can be written to a folder, by trying: rights alone do not tell, to root least of all."""
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".adi-", dir=folder))  # noqa: PTH106 (a text)
    except OSError as error:
        return f"cannot be written to by the account that runs this check ({error.strerror})"
    return None


def _podman(settings: Settings) -> list[Finding]:
    with Engine(settings) as engine:
        try:
            where = engine.listening()
            facts = engine.facts
            rights = "without root" if facts.rootless else "as root"
            listens = f"listens at '{where}'" if where else "is started when a converter is to run"
            found = [Finding(name="podman", level=Level.OK, words=f"Podman {facts.version} runs here {rights}, and {listens}.")]
            if ignored := limits_ignored(facts):
                found.append(_unlimited(ignored))
            return [*found, _images(engine, settings)]
        except PodmanDown as error:
            return [
                Finding(
                    name="podman",
                    level=Level.ERROR,
                    words=f"Converters cannot run on {error.host}: {error.why}.",
                    remedy="Install podman, and see that `podman info` works for the account that runs the service.",
                )
            ]


def _unlimited(ignored: Sequence[str]) -> Finding:
    return Finding(
        name="converter limits",
        level=Level.WARNING,
        words=f"Podman cannot limit what converters use of: {', '.join(ignored)}.",
        remedy="Hand these control groups over to the account: systemd's `Delegate=yes` for its service.",
    )


def _images(engine: Engine, settings: Settings) -> Finding:
    """Look for the images that are allowed by their whole name: which of them are not here, and are not fetched."""
    without_fetching = settings.model_copy(update={"converter_pull": "never"})
    missing = []
    for pattern in settings.allowed_containers:
        name = _name(pattern)
        if name is None or not (name.is_local or settings.converter_pull == "never"):
            continue
        try:
            have(engine, name, container=pattern, settings=without_fetching)
        except ConverterMissing:
            missing.append(quoted(pattern, length=LONGEST_IMAGE))
    if not missing:
        return Finding(name="converter images", level=Level.OK, words="Every allowed image is on this host, or can be fetched.")
    more = f" and {len(missing) - MOST_NAMED} others" if len(missing) > MOST_NAMED else ""
    return Finding(
        name="converter images",
        level=Level.WARNING,
        words=f"Allowed images that are not on this host, and are not fetched: {', '.join(missing[:MOST_NAMED])}{more}.",
        remedy="Build, load or pull them here as the account that runs the service, or take them off `containers: allow:`.",
    )


def _name(pattern: str) -> Name | None:
    """Return the image that a pattern means; None if it means several: without a tag or digest it means all tags."""
    try:
        name = Name.read(pattern)
    except OrderMalformed:
        return None
    return name if name.tag or name.digest else None
