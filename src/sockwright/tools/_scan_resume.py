"""`sw scan --resume FILE`: the scan that Ctrl-C stopped goes on, port by port."""

from __future__ import annotations

from sockwright.errors import UsageError
from sockwright.tools._rows import Remark
from sockwright.tools._scan_run import Asked, scanning
from sockwright.tools._scan_targets import read_targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from sockwright.scan.settings import Settings
    from sockwright.tools._flags import Arguments

__all__ = ["resuming"]

# What is shown and kept may be said anew, and how fast it goes and how long a host is given: it may
# have been begun too slowly.
# What is asked, of whom and how, is as it was.
_ANEW = frozenset({
    "words", "json", "absent", "mistake", "resume", "open", "all", "reason", "explain", "verbose",
    "quiet", "text_file", "xml_file", "grep_file", "json_file", "base", "force", "diff",
    "time_limit", "yes", "evidence", "rate", "host_rate", "preset", "host_timeout", "patience",
})  # fmt: skip


def resuming(args: Arguments, time_limit: float | None) -> Generator[object, None, int]:
    """Yield as `scanning` does.

    Raises:
        UsageError: other flags were given. DecodeError: the file is not one of ours, or not whole.
        OSError: it cannot be read.
    """
    from sockwright.scan.reports.resumed import read_resume

    if args.words:
        raise UsageError(f"--resume knows its targets; leave {args.words[0]!r} out")
    given = [name for name, value in vars(args).items() if value and name not in _ANEW]
    if given:
        from sockwright.tools._scan_flags import flag_of

        flag = flag_of(given[0])
        raise UsageError(f"--resume goes on as the scan was begun; leave {flag} out")
    with read_resume(args.resume) as known:
        settings = _with_pace(known.settings, args)
        if args.evidence is not None:
            from dataclasses import replace
            from pathlib import Path

            settings = replace(settings, evidence=Path(args.evidence), overwrite=bool(args.force))
        for name in ("all_addresses", "ipv4", "ipv6"):
            setattr(args, name, bool(known.options.get(name)))
        # What is shown of services depends on it.
        args.services = settings.services
        args.only_hosts = settings.discovery == "only"
        words = list(known.targets), list(known.exclude)
        targets = read_targets(*words, args)
        asked = Asked(settings, targets, words, dict(known.options), known)
        status = yield from scanning(asked, args, time_limit)
    if asked.is_done:
        yield Remark(f"all of that scan is done; {args.resume} is of no more use")
    return status


def _with_pace(settings: Settings, args: Arguments) -> Settings:
    """Return the settings of the scan that is gone on with, at the pace that is asked for now."""
    given = [name for name in ("host_timeout", "patience") if getattr(args, name) is not None]
    if not (args.preset or args.rate or args.host_rate or given):
        return settings
    from dataclasses import replace

    from sockwright.tools._scan_settings import make_settings

    pace = make_settings(args)
    changes: dict[str, Any] = {name: getattr(pace, name) for name in given}
    if args.preset or args.rate or args.host_rate:
        changes |= {"host_rate": pace.host_rate, "spare_loopback": False}
    if args.preset or args.rate:
        changes["rate"] = pace.rate
    if args.preset:
        longest = max(pace.max_timeout, settings.min_timeout)
        changes |= {"max_timeout": longest, "first_timeout": min(pace.first_timeout, longest)}
    return replace(settings, **changes)
