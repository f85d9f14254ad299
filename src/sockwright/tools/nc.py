"""Talk over any socket: connect or listen, and move octets both ways.

Group: talk
Stands in for: nc, ncat, netcat, telnet, openssl s_client
"""

# Files of this verb: its flags (_nc_flags, _nc_checks), the peer (_nc_where), values (_nc_values),
# what becomes of all that (_nc_job), dumps and records (_nc_taps), -z (_nc_check), files
# (_nc_files). The engine is sockwright.nc.engine.run.

from __future__ import annotations

from sockwright.tools._nc_flags import add_arguments, read_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Sequence

    from sockwright.tools._flags import Arguments

__all__ = ["EXAMPLES", "arguments", "quick_arguments", "run"]

EXAMPLES = (
    ("echo hello | sw nc exec:'tr a-z A-Z'", "to a program as to a socket"),
    ("echo hello | sw nc --hexdump echo:", "what goes and comes, octet by octet"),
    ("sw nc -z localhost 20-25,80,443 || true", "which ports are open"),
    ("timeout 0.5 sw nc -lk -e cat 0 || true", "an echo for many, at a port that is free"),
    (
        "echo hello | sw nc --record talk.pcapng echo: && sw read talk.pcapng",
        "a conversation as a capture",
    ),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb: the letters of both nc's, the words of ncat."""
    add_arguments(parser)


def quick_arguments(words: Sequence[str]) -> Arguments | None:
    """Return what `arguments` would make of `words`; None where it asks for help."""
    return read_words(words)


def run(args: Arguments) -> Generator[object, None, int]:
    """Yield what happens beside the octets, and rows of -z and of files; return the exit status.

    Raises:
        UsageError: the line cannot be understood.
        NotPossibleError: what it wants is not here.
        OSError: as the kernel says.
    """
    from sockwright.tools._nc_checks import check_flags

    check_flags(args)
    if args.check:
        from sockwright.tools._nc_check import checking

        return (yield from checking(args))
    if args.send is not None or args.receive is not None:
        from sockwright.tools._nc_files import transferring

        return (yield from transferring(args))
    from sockwright.tools._nc_job import talk
    from sockwright.tools._nc_talk import do

    return (yield from do(talk(args), args))
