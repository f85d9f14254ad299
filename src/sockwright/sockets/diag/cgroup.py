"""Control groups of sockets: the path of a group by the number that inet_diag tells.

The number is the inode of the group's folder in the hierarchy of version 2 (cgroups(7)).
"""

from __future__ import annotations

import os

__all__ = ["cgroup_mount", "cgroup_paths"]

_TYPE = "cgroup2"


def cgroup_paths() -> dict[int, str]:
    """Return the path of each control group by its number; "/" is the root of the hierarchy.

    Empty where no hierarchy of version 2 is mounted. Groups that this user may not see are not
    there.
    """
    mount = cgroup_mount()
    if not mount:
        return {}
    found: dict[int, str] = {}
    for folder, _, _ in os.walk(mount):
        try:
            number = os.stat(folder).st_ino
        except OSError:
            continue  # removed meanwhile
        found[number] = folder[len(mount) :] or "/"
    return found


def cgroup_mount() -> str:
    """Return where the hierarchy is mounted, or nothing."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.readlines()
    except OSError:
        return ""
    for line in lines:
        before, _, after = line.partition(" - ")
        if after.split(" ", 1)[0] == _TYPE:
            # Octal escapes stand for white space and the backslash (proc_pid_mountinfo(5)).
            path = before.split(" ")[4]
            for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n")):
                path = path.replace(escape, character)
            return path.replace("\\134", "\\")
    return ""
