"""Ask hosts which ports are open, which services are there, and prove each answer.

Group: look
Stands in for: nmap, masscan, zmap, rustscan
"""

# Files of this verb: its flags (_scan_flags, _scan_absent), what they ask for (_scan_settings),
# of whom (_scan_targets), the run (_scan_run) and what it yields (_scan_rows), reports and what is
# kept for later (_scan_files), which _scan_resume goes on with. The scan itself is
# sockwright.scan.scan; how things are shown: cli/pages/scan.py.

from __future__ import annotations

from sockwright.tools._scan_flags import add_arguments, read_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Sequence

    from sockwright.tools._flags import Arguments

__all__ = ["EXAMPLES", "arguments", "quick_arguments", "run"]

EXAMPLES = (
    ("sw scan 127.0.0.1", "which of the 1 000 TCP ports that matter most are open"),
    ("sw scan -p- --reason localhost", "all 65 535, with the packet that proves each state"),
    ("sw scan -sV -p 22,80,443 127.0.0.1", "and who answers there"),
    ("sw scan -sn 127.0.0.0/29", "which hosts are there, no ports"),
    ("sw scan -sSU --top 20 127.0.0.1", "by SYN and by UDP"),
    ("sw scan --json --explain -p 22 127.0.0.1", "for programs, with a sentence on each state"),
    ("sw scan -sL 10.0.0,1.1-3", "which addresses are meant; nothing is sent to them"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb: the letters of nmap."""
    add_arguments(parser)


def quick_arguments(words: Sequence[str]) -> Arguments | None:
    """Return what `arguments` would make of `words`; None where it asks for help."""
    return read_words(words)


def run(args: Arguments) -> Generator[object, None, int]:
    """Yield what is found; return the exit status.

    Raises:
        UsageError: the line cannot be understood, or nobody can be asked whether it is meant.
        NotPossibleError: the method that was chosen, or -O, takes a privilege that is not here.
        SignatureError: -O meets a file of signatures that is not well formed.
        OSError: as the kernel says.
    """
    from sockwright.tools._rows import Remark
    from sockwright.tools._scan_files import expand_base
    from sockwright.tools._scan_run import Asked, scanning
    from sockwright.tools._scan_settings import (
        check_flags,
        make_settings,
        ports_left_out,
        time_limit,
        without_system,
    )
    from sockwright.tools._scan_targets import ask, excluded_words, read_targets, target_words

    check_flags(args)
    expand_base(args)
    limit = time_limit(args)
    if args.resume is not None:
        from sockwright.tools._scan_resume import resuming

        return (yield from resuming(args, limit))
    settings = make_settings(args)
    if left_out := ports_left_out(args):
        yield Remark(left_out)
    words = target_words(args)
    exclude = excluded_words(args)
    if why := without_system(args, settings):
        from dataclasses import replace

        settings = replace(settings, identify_os=False)
        yield Remark(why)
    targets = read_targets(words, exclude, args)
    if not ask(targets, args):
        yield Remark("nothing was sent")
        return 1
    options = {name: True for name in ("all_addresses", "ipv4", "ipv6") if getattr(args, name)}
    asked = Asked(settings, targets, (words, exclude), options)
    return (yield from scanning(asked, args, limit))
