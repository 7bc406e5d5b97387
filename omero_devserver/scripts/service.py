# SPDX-License-Identifier: GPL-2.0-or-later
"""IScript: uploading, listing, describing and running scripts. Texts of the refusals: recorded, facts 11."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any

import Ice
import omero
import omero.grid
from omero.rtypes import rlong, robject

from omero_devserver.scripts.acquiring import Parameters, acquire
from omero_devserver.scripts.folder import HASHER, ScriptFolder, hash_of, new_file
from omero_devserver.scripts.kinds import DISABLED, MIMETYPES, is_script, of_name
from omero_devserver.scripts.processors import DEFAULT_WAIT_SECONDS, Processors
from omero_devserver.scripts.script_process import ScriptProcess
from omero_devserver.store.errors import GraphFailed
from omero_devserver.wire.arguments import managed
from omero_devserver.wire.faults import fault
from omero_devserver.wire.servant import waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from omero_devserver.wire.servant import Call

log = logging.getLogger(__name__)

PRIVILEGE = "WriteScriptRepo"
NO_UPLOAD = "No permission to upload script"


class Scripts:
    """Operations of ``omero.api.IScript``."""

    def getScripts(self, call: Call) -> list[Any]:
        """List the official scripts that are programs."""
        folder = _folder(call)
        folder.update()
        return call.server.store.get(call.user, "OriginalFile", folder.ids())

    def getScriptsByMimetype(self, call: Call, mimetype: str) -> list[Any]:
        """List the official scripts of one kind."""
        folder = _folder(call)
        folder.update()
        return call.server.store.get(call.user, "OriginalFile", folder.ids([mimetype] if mimetype in MIMETYPES else []))

    def getUserScripts(self, call: Call, accepted: Sequence[Any]) -> list[Any]:
        """List users' scripts: those of given users or groups, or else of the session's group."""
        whose = _accepted_by(accepted) or [f"o.details.group.id = {call.session.group}"]
        conditions = " and ".join([is_script("o"), *whose])
        official = set(_folder(call).ids(MIMETYPES))
        found = call.server.store.objects(call.user, f"select o from OriginalFile o where {conditions}")
        return [script for script in found if script.id.val not in official]

    def getScriptID(self, call: Call, path: str) -> int:
        """Find the id of an official script by its path; -1 where there is none."""
        found = _folder(call).find(path)
        return -1 if found is None else found

    def getScriptText(self, call: Call, script: int) -> str | None:
        """Give the text of a script; null where there is none that the caller sees."""
        found = _script(call, script)
        return None if found is None else _text(call, found)

    def getScriptWithDetails(self, call: Call, script: int) -> dict[str, Any]:
        """Give the text of a script, as the key, and its row; empty where there is none."""
        found = _script(call, script)
        return {} if found is None else {_text(call, found): robject(found)}

    @waiting
    def getParams(self, call: Call, script: int) -> Any:
        """Give the parameters of a script; null where there is none that the caller sees."""
        found = _script(call, script)
        return None if found is None else call.server.part(Parameters).get(call, script, found.hash.val)

    @waiting
    def uploadScript(self, call: Call, path: str, text: str) -> int:
        """Save a script of the user's own."""
        content = text.encode()
        file = new_file(path or "", content)
        file.hasher = omero.model.ChecksumAlgorithmI(rlong(call.server.store.enumeration("ChecksumAlgorithm", HASHER)), False)
        try:
            saved = call.server.store.save(call.user, [file])[0]
        except omero.SecurityViolation as refusal:
            raise fault(omero.SecurityViolation, NO_UPLOAD) from refusal
        _write_own(call, saved.id.val, content)
        _validate(call, saved)
        return int(saved.id.val)

    @waiting
    def uploadOfficialScript(self, call: Call, path: str, text: str) -> int:
        """Save a script for everybody; it stays even if it is refused because its parameters cannot be found."""
        if PRIVILEGE not in call.user.privileges:
            raise fault(omero.SecurityViolation, NO_UPLOAD)
        script = _folder(call).add(path, text)
        saved = call.server.store.get(call.user, "OriginalFile", [script])[0]
        kind = of_name(saved.name.val)
        if kind is None or kind.process:  # what is no program is not asked for its parameters
            _validate(call, saved)
        return script

    @waiting
    def editScript(self, call: Call, file: Any, text: str) -> None:
        """Replace the text of a script."""
        if file is None:
            raise fault(omero.ApiUsageException, "file object cannot be null")
        call.server.store.check_writable()
        store, who = call.server.store, call.user
        script = managed(file)
        found = store.get(who, "OriginalFile", [script])[0] if file.isLoaded() else _script(call, script)
        if found is None:
            raise fault(omero.ApiUsageException, f"could not find file: {script}")
        if not found.details.permissions.canEdit():
            raise fault(omero.SecurityViolation, f"Updating ome.model.core.OriginalFile:Id_{script} not allowed.")
        kind = of_name(found.name.val)
        if kind is not None:  # one that was switched off is a script again
            store.update("OriginalFile", script, c_mimetype=kind.mimetype)
        folder = _folder(call)
        if folder.holds(script):
            folder.rewrite(script, found.path.val + found.name.val, text)
        else:
            _write_own(call, script, text.encode())
        call.server.part(Parameters).forget(script)
        _validate(call, store.get(who, "OriginalFile", [script])[0])

    def deleteScript(self, call: Call, script: int) -> None:
        """Delete a script, and the links of its jobs that the caller sees; what cannot be deleted keeps its row.

        Its file goes first, whatever comes then. Source: ScriptI.deleteScript. So an administrator's call in `omero.group=-1`
        deletes what one in a group cannot.
        """
        call.server.store.check_writable()
        found = _script(call, script)
        if found is None:
            raise fault(omero.ApiUsageException, f"No script with id {script} on server.")
        if not found.details.permissions.canDelete():
            raise fault(omero.SecurityViolation, f"No permission to delete script with id {script}")
        store, folder = call.server.store, _folder(call)
        links = store.rows("SELECT id FROM t_JobOriginalFileLink WHERE r_child = ?", script)
        hql = "select l from JobOriginalFileLink l where l.child.id = :id"
        seen = [link.id.val for link in store.objects(call.user, hql, omero.sys.ParametersI().addId(script))]
        official = folder.holds(script)
        if official and links:
            folder.place(found.path.val + found.name.val).unlink(missing_ok=True)
        if len(seen) < len(links):
            text = f"could not delete: [ome.model.core.OriginalFile#{script}]"
            constraint = "SQL [delete from originalfile where id=?]; constraint [fkjoboriginalfilelink_child_originalfile]"
            nested = f"nested exception is org.hibernate.exception.ConstraintViolationException: {text}"
            raise fault(omero.ValidationException, f"{text}; {constraint}; {nested}")
        try:
            store.delete(call.user, {"JobOriginalFileLink": seen})
        except GraphFailed as refusal:
            text = f"Deleting ome.model.jobs.JobOriginalFileLink:Id_{seen[0]} not allowed."
            raise fault(omero.SecurityViolation, text) from refusal
        try:
            if official:
                folder.delete(call.user, script, found.path.val + found.name.val)
            else:
                store.delete(call.user, {"OriginalFile": [script]})
                call.server.disk.attachment(script).unlink(missing_ok=True)
        except GraphFailed as refusal:
            raise fault(omero.ValidationException, refusal.message) from refusal
        call.server.part(Parameters).forget(script)

    @waiting
    def runScript(self, call: Call, script: int, inputs: dict[str, Any], wait: Any) -> Any:
        """Start a script; returns the proxy of its process."""
        job = omero.model.ScriptJobI()
        job.linkOriginalFile(omero.model.OriginalFileI(script, False))
        running = acquire(call, job, DEFAULT_WAIT_SECONDS if wait is None else wait.val)
        try:
            process = ScriptProcess(running, running.begin(call, inputs or {}))
        except BaseException:
            running.release()
            raise
        process.name = f"ScriptProcess-{uuid.uuid4()}"
        proxy = call.service(process.name, process, omero.grid.ScriptProcess)
        if call.session.ended.is_set():  # it ended before it had a service that its end would have released
            process.release()
            raise Ice.ObjectNotExistException
        return omero.grid.ScriptProcessPrx.uncheckedCast(proxy)

    @waiting
    def canRunScript(self, call: Call, script: int) -> bool:
        """Tell whether a processor takes scripts of the caller; official ones always run."""
        return _folder(call).holds(script) or call.server.part(Processors).any_for(call)

    def validateScript(self, call: Call, job: Any, accepted: Sequence[Any]) -> Any:
        """Give a processor the script of a job; null if it is none of those that it accepts.

        Accepted are scripts of given users or groups; official ones if the list is empty.
        """
        conditions = " and ".join([f"j.id = {managed(job)}", is_script("o"), *_accepted_by(accepted)])
        hql = f"select o from Job j join j.originalFileLinks l join l.child o where {conditions}"
        found = call.server.store.objects(call.user, hql)
        if len(found) != 1:
            raise fault(omero.ValidationException, f"Found wrong number of files: {len(found)}")
        script = found[0].id.val
        if not accepted and not _folder(call).holds(script):
            return None
        return call.server.store.get(call.user, "OriginalFile", [script])[0]


def _folder(call: Call) -> ScriptFolder:
    return call.server.part(ScriptFolder)


def _script(call: Call, script: int) -> Any:
    """Find a script that the caller sees; None where there is none."""
    hql = f"select o from OriginalFile o where o.id = :id and {is_script('o')}"
    found = call.server.store.objects(call.user, hql, omero.sys.ParametersI().addId(script))
    return found[0] if found else None


def _text(call: Call, script: Any) -> str:
    try:
        if _folder(call).holds(script.id.val):
            return _folder(call).read(script.path.val + script.name.val)
        return call.server.disk.attachment(script.id.val).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise fault(omero.ResourceError, f"Failed to load ome.model.core.OriginalFile:Id_{script.id.val}") from error


def _write_own(call: Call, script: int, content: bytes) -> None:
    place = call.server.disk.attachment(script)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    call.server.store.update("OriginalFile", script, c_size=len(content), c_hash=hash_of(content))


def _accepted_by(accepted: Sequence[Any]) -> list[str]:
    conditions = []
    for one in accepted or ():
        if isinstance(one, omero.model.Experimenter):
            conditions.append(f"o.details.owner.id = {managed(one)}")
        elif isinstance(one, omero.model.ExperimenterGroup):
            conditions.append(f"o.details.group.id = {managed(one)}")
        else:
            raise fault(omero.ValidationException, f"Unsupported accept-type: {type(one).__name__}")
    return conditions


def _validate(call: Call, file: Any) -> None:
    """Find the parameters of a script that was just written; one without is switched off (ScriptI.validateParams)."""
    script = file.id.val
    try:
        call.server.part(Parameters).get(call, script, file.hash.val)
    except omero.ValidationException:
        call.server.store.update("OriginalFile", script, c_mimetype=DISABLED)
        raise
    except omero.ResourceError:
        return  # no processor, as there is none for users' scripts: the parameters will be found out later
    except omero.ServerError as error:
        log.warning("script %d: parameters not found: %s", script, error.message)
