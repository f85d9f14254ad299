"""The tour as people read it: for each step the code, the ladder of packets, what became of them.

tcp4  TCP over IPv4
...
ms   a 10.0.0.1                                       b 10.0.0.2
0.000   │── SYN seq 0 ──────────────────────────────────────>│  good
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from sockwright.cli.table import render_table
from sockwright.lab.tour.counters import MEANING
from sockwright.tools.tour import ListedStep, Summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sockwright.cli.screen import Screen
    from sockwright.lab.tour.ladder import Rung
    from sockwright.lab.tour.played import Played
    from sockwright.lab.tour.step import StepResult
    from sockwright.wire.core.finding import Finding

_INDENT = "  "
_WIDEST = 100
_NARROWEST = 36
_MARKS = {
    True: ("good", "green"),
    False: ("failed", "bold red"),
    None: ("not here", "yellow"),
}
_SEVERITIES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def render(rows: Iterable[StepResult | Summary | ListedStep], screen: Screen) -> None:
    """Show each step as it is done, then a table of all."""
    iterator = iter(rows)
    first = next(iterator, None)
    if first is None:
        return
    if isinstance(first, ListedStep):
        render_table(chain([first], iterator), screen)
        return
    page = _Page(screen)
    for row in chain([first], iterator):
        if isinstance(row, Summary):
            page.summary(row)
        elif isinstance(row, ListedStep):
            continue
        elif row.hosts:
            page.step(row)
        else:
            page.not_played(row)


class _Page:
    """What has been shown so far, and how."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._width = max(_NARROWEST, min(screen.width, _WIDEST))
        self._done: list[StepResult] = []
        self._seen: dict[str, str] = {}  # source of a function -> the step that showed it
        self._ready_told = False
        encoding = screen.stream.encoding or "ascii"
        try:
            "─│".encode(encoding)
        except UnicodeEncodeError:
            self._dash, self._pole = "-", "|"
        else:
            self._dash, self._pole = "─", "│"

    # -- one step ---------------------------------------------------------------------------------

    def step(self, row: StepResult) -> None:
        """Show a step."""
        if self._done:
            self._screen.line()
        self._done.append(row)
        self._heading(row)
        self._paragraph(row.text, "")
        self._screen.line()
        self._socket(row)
        self._imports(row)
        for played in row.code:
            self._code(played, row)
        if row.packets:
            self._screen.line()
            self._ladder(row)
        if row.messages:
            self._screen.line()
            self._messages(row)
        self._kernel(row)
        for note in row.notes:
            self._screen.line()
            self._paragraph(note, _INDENT)
        self._verdict(row)

    def not_played(self, row: StepResult) -> None:
        """Say once why there are no hosts to play on; the table has the steps."""
        if not self._done:
            self._paragraph("No step can be played: this machine gives no hosts.", "")
            self._screen.line((row.skipped or "", "bold yellow"))  # one line, to be copied
        self._done.append(row)

    def _heading(self, row: StepResult) -> None:
        title = f"{row.title} "
        room = self._width - len(f"{row.step}  ")
        if len(title) <= room:
            rest = self._dash * (room - len(title))
            self._screen.line((f"{row.step}  ", "bold cyan"), (title, "bold"), (rest, "dim"))
        else:
            rest = self._dash * (room + 1)
            self._screen.line((f"{row.step} ", "bold cyan"), (rest, "dim"))
            self._paragraph(row.title, "", "bold")

    def _socket(self, row: StepResult) -> None:
        if row.sockets:
            one = row.sockets[0]
            names = (
                (one.family, one.family_number),
                (one.type, one.type_number),
                (one.protocol, one.protocol_number),
            )
            text = ", ".join(
                name if name == str(number) else f"{name} ({number})" for name, number in names
            )
            self._pair("socket", text)
        if row.privilege is None:
            self._pair("privilege", "none")
        elif row.privileged:
            self._pair("privilege", f"{row.privilege}, which you have")
        else:
            self._pair(
                "privilege", f"{row.privilege}: you do not have it, but on these two hosts you do"
            )

    def _pair(self, name: str, text: str) -> None:
        lines = self._screen.fold(text, self._width - 13)
        self._screen.line(_INDENT, (name.ljust(11), "dim"), lines[0])
        for line in lines[1:]:
            self._screen.line(" " * 13, line)

    def _code(self, played: Played, row: StepResult) -> None:
        before = self._seen.get(played.source)
        if played.host:
            self._screen.line()
            self._screen.line(_INDENT, (f"host {played.host}: {played.call}", "bold"))
        elif before is None:
            self._screen.line()
        if before is None:
            self._seen[played.source] = row.step
            self._ready(played.source)
            self._screen.code(played.source, _INDENT * 2)
        elif played.host and before != row.step:
            self._screen.line(_INDENT * 2, (f"(the same code as in {before})", "dim"))
        if played.result and played.result != "None":
            self._result(played.result)

    def _ready(self, source: str) -> None:
        """Say what ``ready`` is, in front of the first code that calls it."""
        if "ready()" in source and not self._ready_told:
            self._ready_told = True
            self._paragraph(
                "(ready() is the tour's own: it tells the other side that it may start)",
                _INDENT * 2,
                "dim",
            )

    def _imports(self, row: StepResult) -> None:
        """Show what the code of this step imports, but for what was shown before."""
        new = [line for line in row.imports if line not in self._seen]
        if new:
            self._seen.update(dict.fromkeys(new, row.step))
            self._screen.line()
            self._screen.code("\n".join(new), _INDENT * 2)

    def _result(self, text: str) -> None:
        label = "-> "
        indent = _INDENT * 2 + " " * len(label)
        lines = self._screen.fold(text, self._width - len(indent))
        self._screen.line(_INDENT * 2, (label, "dim"), (lines[0] if lines else "", "magenta"))
        for line in lines[1:]:
            self._screen.line(indent, (line, "magenta"))

    # -- the ladder -------------------------------------------------------------------------------

    def _ladder(self, row: StepResult) -> None:
        version6 = any(one.octets[12:14] == b"\x86\xdd" for one in row.packets)
        poles = [f"{name} {addresses[version6]}" for name, addresses in row.hosts.items()]
        span = self._width - 20
        head = poles[0] + poles[1].rjust(span + 2 - len(poles[0]))
        self._screen.line(("     ms  ", "dim"), (head, "bold"))
        left = next(iter(row.hosts))
        start = row.packets[0].time_ns
        for rung in row.packets:
            time = f"{(rung.time_ns - start) / 1e6:8.3f} "
            mark, style = _rung_mark(rung)
            self._rung(rung.summary, rung.sender == left, span, (time, "dim"), (mark, style))
            for finding in rung.findings:
                self._finding(finding)
        self._legend(row)

    def _rung(
        self,
        text: str,
        rightward: bool,
        span: int,
        before: tuple[str, str],
        after: tuple[str, str],
    ) -> None:
        """Draw an arrow with its text in it, or above it where it is too long for that."""
        dash, pole = self._dash, self._pole
        if len(text) > span - 6:
            for line in self._screen.fold(text, span - 2):
                self._screen.line(
                    " " * len(before[0]), (pole, "dim"), f" {line}".ljust(span), (pole, "dim")
                )
            text = ""
        label = f" {text} " if text else dash
        if rightward:
            parts = (dash * 2, label, dash * (span - 3 - len(label)) + ">")
        else:
            parts = ("<" + dash * (span - 3 - len(label)), label, dash * 2)
        self._screen.line(
            before,
            (pole, "dim"),
            (parts[0], "dim"),
            parts[1],
            (parts[2], "dim"),
            (pole, "dim"),
            " ",
            after,
        )

    def _finding(self, finding: Finding) -> None:
        style = _SEVERITIES[finding.severity]
        indent = " " * 9
        self._screen.line(indent, (f"verify(): {finding.code}", style))
        self._paragraph(
            f"{finding.message}. Found {finding.found}, expected {finding.expected} "
            f"({finding.reference}).",
            indent + _INDENT,
        )

    def _legend(self, row: StepResult) -> None:
        """Tell the true first numbers that the relative ones count from."""
        first: dict[str, int] = {}
        for rung in row.packets:
            if rung.seq is not None and rung.relative_seq is not None:
                first.setdefault(rung.sender, (rung.seq - rung.relative_seq) % (1 << 32))
        if first:
            told = " and ".join(f"{number} ({name})" for name, number in first.items())
            self._paragraph(f"seq and ack count from {told}", " " * 9, "dim")

    def _messages(self, row: StepResult) -> None:
        left, right = row.messages[0].sender, row.messages[0].receiver
        span = self._width - 20
        self._screen.line(" " * 9, (left + right.rjust(span + 2 - len(left)), "bold"))
        for message in row.messages:
            text = f'{len(message.octets)} octets "{message.octets.decode()}"'
            self._rung(text, message.sender == left, span, (" " * 9, ""), ("", ""))
        self._paragraph("through the kernel of host a; no packet was sent", " " * 9, "dim")

    # -- what became of it ------------------------------------------------------------------------

    def _kernel(self, row: StepResult) -> None:
        told = [
            (meaning, name, row.counters[name])
            for name, meaning in MEANING.items()
            if name in row.counters
        ]
        if not told:
            return
        self._screen.line()
        self._screen.line(_INDENT, ("the kernel of host b", "bold"))
        for meaning, name, count in told:
            counter = f"{name} +{count}"
            line = f"{_INDENT}{_INDENT}{meaning}"
            room = self._width - len(line) - len(counter)
            if room < 2:
                self._screen.line(line)
                self._screen.line(_INDENT * 3, (counter, "dim"))
            else:
                self._screen.line(line, " " * room, (counter, "dim"))

    def _verdict(self, row: StepResult) -> None:
        self._screen.line()
        mark, style = _MARKS[row.ok]
        if row.ok is None:
            text = row.skipped or ""
        elif not row.ok:
            text = row.error or ""
        elif row.expected:
            text = f"verify() named the mistake: {row.expected}"
        elif row.packets:
            count = len(row.packets)
            text = f"{count} packets, each of them right"
        else:
            text = "both sides received what the other one sent"
        lines = self._screen.fold(text, self._width - len(mark) - 4)
        self._screen.line(_INDENT, (f"{mark}: ", style), lines[0] if lines else "")
        for line in lines[1:]:
            self._screen.line(" " * (len(mark) + 4), line)

    # -- the end ----------------------------------------------------------------------------------

    def summary(self, row: Summary) -> None:
        """Show a line for each step, the totals, and what to try next."""
        totals = row.summary
        self._screen.line()
        self._screen.line((self._dash * self._width, "dim"))
        self._table()
        self._screen.line()
        self._paragraph("".join(_sentences(row)), "", "bold")
        if totals.failed:
            failed = next(one.step for one in self._done if one.ok is False)
            self._next(
                ("sw doctor", "what this user may do here"), (f"sw tour --step {failed}", "")
            )
        elif totals.pcap is not None:
            self._next((f"tshark -r {totals.pcap}", "what another program says"))
        elif totals.skipped:
            self._next(("sw doctor", "what this user may do here"))
        elif totals.steps > 1:
            self._next(
                ("sw tour --step raw-tcp", "one step alone"),
                ("sw lab shell", "the two hosts, to try things on"),
                ("sw doctor", "what else this user may do here"),
            )
        else:
            self._next(("sw tour", "all the steps"), ("sw tour --list", "their names"))

    def _next(self, *commands: tuple[str, str]) -> None:
        lead = "next: "
        names = max(len(command) for command, _ in commands)
        meanings = max(len(meaning) for _, meaning in commands)
        beside = len(lead) + names + 2 + meanings <= self._width
        for command, meaning in commands:
            words = command.ljust(names) + "  " if beside else command
            self._screen.line((lead, "dim"), (words, "cyan"), (meaning if beside else "", "dim"))
            lead = " " * len(lead)
            if not beside:
                self._paragraph(meaning, lead + _INDENT, "dim")

    def _table(self) -> None:
        """Show a line for each step; where that is too narrow the titles get lines of their own."""
        marks = max((len(_MARKS[one.ok][0]) for one in self._done), default=0)
        names = max((len(one.step) for one in self._done), default=0)
        titles = max((len(one.title) for one in self._done), default=0)
        room = self._width - marks - names - 2 * len(_INDENT)
        for one in self._done:
            mark, style = _MARKS[one.ok]
            start = ((mark.ljust(marks), style), _INDENT, (one.step.ljust(names), "cyan"))
            if titles > room:
                self._screen.line(*start)
                self._paragraph(one.title, _INDENT * 2)
                continue
            kind = " ".join(filter(None, (one.family, one.type)))
            if len(one.title) + 2 + len(kind) > room:
                kind = ""
            title = one.title.ljust(room - len(kind))
            self._screen.line(*start, _INDENT, title, (kind, "dim"))

    def _paragraph(self, text: str, indent: str, style: str = "") -> None:
        for line in self._screen.fold(text, self._width - len(indent)):
            self._screen.line(indent, (line, style))


def _rung_mark(rung: Rung) -> tuple[str, str]:
    worst = [finding.severity for finding in rung.findings]
    if "error" in worst:
        return "WRONG", "bold red"
    return ("odd", "yellow") if worst else ("good", "green")


def _sentences(row: Summary) -> Iterator[str]:
    totals = row.summary
    yield f"{totals.ok} of {totals.steps} steps went as they should"
    if totals.failed:
        yield f", {totals.failed} failed"
    if totals.skipped:
        yield f", {totals.skipped} {'is' if totals.skipped == 1 else 'are'} not possible here"
    yield f"; {totals.packets} packets, {totals.seconds:.1f} s"
    if totals.pcap is not None:
        yield f"; the packets are in {totals.pcap}"
    yield "."
