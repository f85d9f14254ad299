"""Show sockets of every kind at work between two hosts, packet by packet.

Group: learn
Stands in for: nc, tcpdump and Wireshark in three windows

Each step runs a short program on two hosts of a lab, captures what goes over the wire, and proves
that it was right, or names what was wrong with it on purpose. It takes no root, no network and no
second window.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from sockwright.errors import NotPossibleError, UsageError
from sockwright.lab.tour import Tour, all_steps, not_played

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator

    from sockwright.lab.tour import Step, StepResult

EXAMPLES: tuple[tuple[str, str], ...] = (
    ("sw tour", "the whole tour: thirteen steps in about two seconds"),
    ("sw tour --list", "the names of the steps"),
    ("sw tour --step tcp4", "one step: a TCP connection from its SYN to its last ACK"),
    ("sw tour --step raw-tcp --step mistake-checksum", "a SYN by hand, and one without its sum"),
    ("sw tour --pcap tour.pcap", "keep what went over the wire, for tshark or Wireshark"),
    ("sw tour --json", "one object a step and a last one with the totals, for programs"),
)


@dataclass(frozen=True, slots=True)
class ListedStep:
    """A step that could be played."""

    columns: ClassVar[tuple[str, ...]] = ("step", "title", "privilege")

    step: str
    title: str
    privilege: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Totals:
    """How many steps went well, how many did not, how many are not possible here."""

    steps: int
    ok: int
    failed: int
    skipped: int
    packets: int
    seconds: float
    pcap: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The last row."""

    summary: Totals


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    step = parser.add_argument(
        "--step", action="append", metavar="NAME", help="play only this step; may be repeated"
    )
    # argcomplete looks for this name.
    step.completer = lambda **_: list(all_steps())  # type: ignore[attr-defined]
    parser.add_argument(
        "--pcap",
        type=Path,
        metavar="FILE",
        help="write what went over the wire to FILE (pcap, nanoseconds); as with tcpdump -w a "
        "file that exists is overwritten",
    )
    parser.add_argument("--list", action="store_true", help="list the steps and play none")


def run(
    args: argparse.Namespace,
) -> Generator[ListedStep | StepResult | Summary, None, int]:
    """Yield a row for each step as it is done, then the summary.

    Return 1 if any step failed, 5 if none could be played: this machine refuses the two hosts to
    this user, and every row says why.

    Raises:
        UsageError: there is no such step, or the capture file is to be standard output.
        OSError: the capture file cannot be written.
    """
    steps = _chosen(args.step)
    if args.list:
        for step in steps:
            privilege = step.privilege.name if step.privilege is not None else None
            yield ListedStep(step.name, step.title, privilege, step.text)
        return 0
    if args.pcap is not None and _is_standard_output(args.pcap):
        raise UsageError("standard output has the rows already; --pcap takes the name of a file")
    began = time.perf_counter()
    results = []
    play: Callable[[Step], StepResult]
    impossible = 0
    with ExitStack() as stack:
        writer = None
        try:
            play = stack.enter_context(Tour()).play
        except NotPossibleError as refusal:
            play = partial(not_played, reason=str(refusal))
            impossible = refusal.exit_status
        else:
            if args.pcap is not None:
                # Before the first step, so that a wrong path is told at once; after the lab, so
                # that a file is not overwritten for nothing.
                from sockwright.records import PcapWriter

                writer = PcapWriter(stack.enter_context(args.pcap.open("wb")))
        for step in steps:
            result = play(step)
            if writer is not None:
                from sockwright.records import Record

                for one in result.packets:
                    writer.write(Record(one.time_ns, one.octets, len(one.octets)))
            results.append(result)
            yield result
    failed = sum(result.ok is False for result in results)
    yield Summary(
        Totals(
            steps=len(results),
            ok=sum(result.ok is True for result in results),
            failed=failed,
            skipped=sum(result.ok is None for result in results),
            packets=sum(len(result.packets) for result in results),
            seconds=round(time.perf_counter() - began, 3),
            pcap=None if writer is None else str(args.pcap),
        )
    )
    return 1 if failed else impossible


def _is_standard_output(path: Path) -> bool:
    """Return whether `path` is where the rows go: by the name "-", or as the same file."""
    if path == Path("-"):
        return True
    try:
        same = os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except OSError:  # a file that is not there yet, or a standard output that is no file
        return False
    return same and not path.samefile(os.devnull)  # there nothing gets mixed up


def _chosen(names: list[str] | None) -> list[Step]:
    """Return the steps of these names in the order of the tour, all without names."""
    known = all_steps()
    for name in names or ():
        if name not in known:
            from difflib import get_close_matches

            close = get_close_matches(name, known, n=2, cutoff=0.4)
            hint = f"did you mean {' or '.join(close)}?" if close else "sw tour --list shows them"
            raise UsageError(f"there is no step {name!r}; {hint}")
    return [step for step in known.values() if not names or step.name in names]
