# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets: what annotations of an import's settings say to the server: close by yourself, and where the images go.

As OMERO's `ManagedImportRequestI.detectKnownAnnotations` and `ServerTemplateImportTarget` read them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import omero
import omero.sys
from omero.constants.namespaces import NSAUTOCLOSE, NSTARGETTEMPLATE
from omero.rtypes import rstring

from omero_devserver.model.schema import entity_of

if TYPE_CHECKING:
    from omero_devserver.repository.journal import ImportLog
    from omero_devserver.store.caller import Caller
    from omero_devserver.store.store import Store

_DISCRIMINATOR = re.compile(r"[-+%@]?name")
_JAVA_GROUP = re.compile(r"\(\?<(?=[a-zA-Z])")


class UnusableAnnotation(Exception):
    """An annotation that the images should get is missing, or says something that cannot be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """What the annotations say.

    auto_close: end handle and process when the import is over, whoever looks.
    template:   the saved CommentAnnotation that names the target by a template, or None.
    """

    auto_close: bool
    template: Any


def instructions(store: Store, who: Caller, annotations: list[Any]) -> Instructions:
    """Read the annotations of some settings; raises UnusableAnnotation if a saved one of them is missing."""
    auto_close, template, newest = False, None, 0
    for given in annotations:
        annotation = given if given is None or given.isLoaded() else _loaded(store, who, given)
        namespace = annotation.ns.val if annotation is not None and annotation.ns is not None else None
        auto_close = auto_close or namespace == NSAUTOCLOSE
        if namespace == NSTARGETTEMPLATE:
            if annotation.id is None:
                raise UnusableAnnotation("the annotation with the target's template has no id")
            if annotation.id.val > newest:
                newest, template = annotation.id.val, annotation
    return Instructions(auto_close=auto_close, template=template)


def target_of(store: Store, who: Caller, template: Any, *, plates: bool, log: ImportLog) -> Any:
    """Find or make the container that a template names.

    Parameters
    ----------
    store : Store
        Where it is looked for, or made.
    who : Caller
        Whose import it is.
    template : omero.model.CommentAnnotation
        Its text is `regex:DISCRIMINATOR:PATTERN` or `regex:PATTERN`; the pattern's group `Container1`, matched with the path in
        its description, is the name. The discriminator says which of several with that name: `+name` the newest that the user
        may link to (the default), `-name` the oldest, `%name` the only one, `@name` a new one in any case.
    plates : bool
        A Screen is wanted, not a Dataset.
    log : ImportLog
        Told why there is none.

    Returns
    -------
    omero.model.Dataset or omero.model.Screen or None
        None: the path does not match, or there is no name, or not one only.

    Raises
    ------
    UnusableAnnotation
        There is no path, or the pattern is none.
    """
    if template.description is None:
        raise UnusableAnnotation("the annotation with the target's template has no description")
    _, _, rest = (template.textValue.val if template.textValue is not None else "").partition(":")
    discriminator, _, pattern = rest.partition(":") if ":" in rest else ("+name", "", rest)
    try:
        matched = re.fullmatch(_JAVA_GROUP.sub("(?P<", pattern), template.description.val)
        name = (matched["Container1"] or "").strip() if matched is not None else ""
    except (re.error, IndexError) as error:
        raise UnusableAnnotation(f"no group Container1 in the pattern '{pattern}': {error}") from error
    if not _DISCRIMINATOR.fullmatch(discriminator) or not name:
        log.line(f"no target: '{template.description.val}' and template '{template.textValue.val}'", level="WARN")
        return None
    kind = "Screen" if plates else "Dataset"
    found = [] if discriminator.startswith("@") else _linkable(store, who, kind, name, oldest=discriminator.startswith("-"))
    if discriminator.startswith("%") and len(found) > 1:
        log.line(f"no target: {len(found)} of {kind} '{name}'", level="WARN")
        return None
    return found[0] if found else _made(store, who, kind, name)


def _loaded(store: Store, who: Caller, annotation: Any) -> Any:
    if annotation.id is None:
        return None
    try:
        return store.get(who, entity_of(annotation).name, [annotation.id.val])[0]
    except omero.ValidationException:
        # A real server's own words (recorded: facts 1).
        text = 'Cannot invoke "ome.model.annotations.Annotation.getNs()" because "ann" is null'
        raise UnusableAnnotation(text) from None


def _linkable(store: Store, who: Caller, kind: str, name: str, *, oldest: bool) -> list[Any]:
    order = "" if oldest else " desc"
    parameters = omero.sys.ParametersI().addString("name", name)
    found = store.objects(who, f"select o from {kind} o where o.name = :name order by o.id{order}", parameters)
    return [one for one in found if one.details.permissions.canLink()]


def _made(store: Store, who: Caller, kind: str, name: str) -> Any:
    container = getattr(omero.model, f"{kind}I")()
    container.name = rstring(name)
    return store.save(who, [container])[0]
