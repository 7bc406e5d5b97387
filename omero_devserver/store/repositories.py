# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories: their identities, which `OriginalFile.repo` holds, and the privileges that count for their files."""

#: The managed repository, where imports go, and the repository of official scripts.
MANAGED = "4f4d4552-4f2d-4445-5653-455256455231"
SCRIPTS = "ScriptRepo"  # as OMERO itself calls it (ScriptRepoHelper)

#: Privileges to write and to delete files of others, by repository; None for files in none (BasicACLVoter of OMERO's source).
_PRIVILEGES = {MANAGED: ("WriteManagedRepo", "DeleteManagedRepo"), SCRIPTS: ("WriteScriptRepo", "DeleteScriptRepo")}
_OTHERWISE = ("WriteFile", "DeleteFile")


def file_privileges(repository: str | None) -> tuple[str, str]:
    """Name the privileges with which an administrator writes and deletes files of others in that repository."""
    return _PRIVILEGES.get(repository or "", _OTHERWISE)
