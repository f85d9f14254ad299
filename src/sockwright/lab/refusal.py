"""Why this machine refuses a lab, and what to do: read from the settings that can be the reason."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from sockwright.errors import NotPossibleError

__all__ = ["explain"]


def explain(stage: str, number: int) -> NotPossibleError:
    """Return the error for a lab whose start was refused.

    `stage` is what the keeper was doing, `number` the errno of the refusal.
    """
    refused = f"{stage} refused ({errno.errorcode.get(number, number)})"
    if stage == "mounts":
        return NotPossibleError(
            f"a fresh /proc in the lab: {refused}",
            "this looks like a container that covers parts of /proc; start it with "
            "--security-opt systempaths=unconfined, or run as root with CAP_SYS_ADMIN",
        )
    if number == errno.ENOSPC:
        kind = "net" if stage == "network namespace" else "user"
        setting = f"user.max_{kind}_namespaces"
        return NotPossibleError(
            f"{stage}: {setting} is {_setting(setting) or 'too small'}",
            f"as root: sysctl {setting}=15000; or run as root",
        )
    if number == errno.EUSERS:
        return NotPossibleError(f"{stage}: 32 are nested already", "run outside one of them")
    if number == errno.EINVAL:
        return NotPossibleError(
            f"a kernel with namespaces: {refused}", "build it with CONFIG_USER_NS and CONFIG_NET_NS"
        )
    for setting, allowed in (
        ("kernel.unprivileged_userns_clone", "1"),
        ("kernel.apparmor_restrict_unprivileged_userns", "0"),
    ):
        if _setting(setting) not in {None, allowed}:
            by = "AppArmor " if "apparmor" in setting else ""
            return NotPossibleError(
                f"user namespaces for ordinary users: {by}{setting} is {_setting(setting)}",
                f"run as root, or as root: sysctl {setting}={allowed}",
            )
    who = "root without CAP_SYS_ADMIN" if os.geteuid() == 0 else "an ordinary user"
    return NotPossibleError(
        f"namespaces for {who}: {refused}",
        "run as root; in a container, allow unshare and mount (--privileged, or "
        "--cap-add SYS_ADMIN with --security-opt seccomp=unconfined)",
    )


def _setting(name: str) -> str | None:
    try:
        return Path("/proc/sys", *name.split(".")).read_text().strip()
    except OSError:
        return None
