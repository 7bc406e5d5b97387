# SPDX-License-Identifier: GPL-2.0-or-later
"""Names: what images are called, and which of them a site lets run.

A name without a registry means `docker.io/…` (contract 6): one whose first part has neither `.` nor `:` in it and is not
`localhost`. Podman would look for short names in other places, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Self

from omero_adi_plugin.errors import OrderMalformed, quoted

USUAL_REGISTRY = "docker.io"
USUAL_OWNER = "library"
"""Whose images those of docker.io are that have no owner in their name (source: Docker's image reference grammar)."""

USUAL_TAG = "latest"

_LONGEST_SHOWN = 120

# Source: the grammar of the OCI distribution specification 1.1 ("Pulling manifests") and of Docker's references.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REGISTRY = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
_NAME = re.compile(
    rf"(?P<registry>{_REGISTRY})/(?P<path>{_PART}(?:/{_PART})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?",
    re.ASCII,
)
_LONGEST = 255
"""So many characters registry and path may have together (Docker's grammar)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """The name of an image, or a pattern of such names.

    repository: with its registry, as `docker.io/lab/converter`.
    tag:        None: none is given.
    digest:     `sha256:…`; None: none is given.
    """

    repository: str
    tag: str | None
    digest: str | None

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the name that an order gives.

        Raises
        ------
        OrderMalformed
            It is no name of an image, or one of another kind than those of registries (`oci-archive:…`).
        """
        found = _NAME.fullmatch(_completed(text))
        if found is None or len(found["registry"]) + 1 + len(found["path"]) > _LONGEST:
            problem = f"`container` of the preprocessing is {quoted(text, length=_LONGEST_SHOWN)}, which is no name of an image"
            raise OrderMalformed(column="container", problem=problem)
        return cls(repository=f"{found['registry']}/{found['path']}", tag=found["tag"], digest=found["digest"])

    def __str__(self) -> str:
        """Return what podman is asked for: a digest tells more than a tag, and podman takes one of them only."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag or USUAL_TAG}"

    @property
    def is_local(self) -> bool:
        """Whether no registry has it: podman calls images so that were made on a host."""
        return self.repository.startswith("localhost/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A pattern of images that may run; each part may have `*` in it, for anything but `/`, `:` and `@`.

    tag:    None: all tags, and all digests.
    digest: None: any; else nothing but that very image runs, whatever an order's tag is.
    """

    repository: str
    tag: str | None
    digest: str | None

    @classmethod
    def read(cls, text: str) -> Self:
        """Read a pattern; one that makes no sense fits no image."""
        rest, _, digest = _completed(text).partition("@")
        head, colon, tag = rest.rpartition(":")
        if not colon or "/" in tag:  # the colon of a port
            head, tag = rest, ""
        return cls(repository=head, tag=tag or None, digest=digest or None)

    def fitting(self, name: Name) -> Name | None:
        """Return the image that may run when an order asks for one; None: this pattern lets none run."""
        if not _fits(self.repository, name.repository):
            return None
        if self.digest is not None:
            return replace(name, digest=self.digest) if name.digest in {None, self.digest} else None
        if self.tag is None or self.tag == "*":
            return name
        # what a digest names runs, whatever tag stands before it: such an order could have any image run under an allowed tag
        return name if name.digest is None and _fits(self.tag, name.tag or USUAL_TAG) else None


def _completed(text: str) -> str:
    """Return a name, or a pattern, with its registry."""
    first, slash, rest = text.partition("/")
    if not slash or not (set(first) & set(".:") or first == "localhost"):
        first, rest = USUAL_REGISTRY, text
    if first in {USUAL_REGISTRY, f"index.{USUAL_REGISTRY}"}:
        first, rest = USUAL_REGISTRY, rest if "/" in rest else f"{USUAL_OWNER}/{rest}"
    return f"{first}/{rest}"


def _fits(pattern: str, text: str) -> bool:
    expression = "[^/:@]*".join(re.escape(part) for part in re.split(r"\*+", pattern))
    return re.fullmatch(expression, text) is not None
