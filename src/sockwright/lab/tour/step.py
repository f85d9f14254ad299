"""A step of the tour: what it is, and what came of it."""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sockwright.lab.tour.ladder import Rung, ladder
from sockwright.lab.tour.stage import Message, Stage, StepFailedError
from sockwright.sockets.privileges import Capability, Privileges

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.lab.host import Host
    from sockwright.lab.tour.counters import Counters
    from sockwright.lab.tour.observe import OpenedSocket
    from sockwright.lab.tour.played import Played
    from sockwright.wire.core.finding import Finding

__all__ = ["Step", "StepResult", "play"]

# What a kernel says of a kind of socket that it was built without.
_ABSENT = {errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT}


@dataclass(frozen=True, slots=True)
class Step:
    """What `play` goes by.

    `run` does it and raises where it goes another way than it should. `expected` is the code of the
    one finding of `verify()` that the step is about; without it every packet must be right.
    """

    name: str
    title: str
    text: str
    run: Callable[[Stage], None]
    privilege: Capability | None = None
    expected: str = ""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What came of one step.

    `family`, `type` and `protocol` are those of the socket that the step is about, the first of
    `sockets`. `privilege` is the capability that the step takes, None for none; `privileged`
    whether this user has it on this machine (in the lab everybody has). `ok` is None where this
    kernel lacks something, and `skipped` says what; where it is False `error` says why. `expected`
    is the code of the finding that the step is to provoke. `code` are the functions that ran and
    `imports` the statements that they need in front of them,
    `packets` what was on the wire, `messages` what went through UNIX sockets, `counters` by how
    much those of host b's kernel went up.
    """

    columns: ClassVar[tuple[str, ...]] = ("step", "title", "ok")

    step: str
    title: str
    text: str
    family: str | None
    type: str | None
    protocol: str | None
    privilege: str | None
    privileged: bool
    ok: bool | None
    error: str | None
    skipped: str | None
    expected: str | None
    imports: list[str]
    code: list[Played]
    sockets: list[OpenedSocket]
    packets: list[Rung]
    messages: list[Message]
    findings: list[Finding]
    counters: dict[str, int]
    notes: list[str]
    hosts: dict[str, list[str]]
    seconds: float


def play(step: Step, a: Host, b: Host, counters: Counters) -> StepResult:
    """Play a step on hosts `a` and `b`. Whatever a step raises is told in the result."""
    began = time.perf_counter()
    error = skipped = None
    with Stage(a, b, counters, a.capture()) as stage:
        try:
            step.run(stage)
        except OSError as refusal:
            if refusal.errno in _ABSENT:
                skipped = f"this kernel: {refusal.strerror or refusal}"
            else:
                error = f"{type(refusal).__name__}: {refusal}"
        except StepFailedError as failure:
            error = str(failure)
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        rungs = ladder(stage.capture.frames, {a.mac: a.name, b.mac: b.name})
        counted = stage.counted()
    findings = [finding for rung in rungs for finding in rung.findings]
    if error is None and skipped is None:
        error = _judge(step, findings)
    sockets = sorted(stage.sockets, key=_rank)
    first = sockets[0] if sockets else None
    return StepResult(
        step=step.name,
        title=step.title,
        text=step.text,
        family=first.family if first else None,
        type=first.type if first else None,
        protocol=first.protocol if first else None,
        privilege=step.privilege.name if step.privilege is not None else None,
        privileged=step.privilege is None or step.privilege in Privileges.current(),
        ok=None if skipped is not None else error is None,
        error=error,
        skipped=skipped,
        expected=step.expected or None,
        imports=_statements(stage.imports),
        code=stage.played,
        sockets=sockets,
        packets=rungs,
        messages=stage.messages,
        findings=findings,
        counters=counted,
        notes=stage.notes,
        hosts={host.name: [host.ipv4, host.ipv6] for host in (a, b)},
        seconds=round(time.perf_counter() - began, 4),
    )


def _judge(step: Step, findings: list[Finding]) -> str | None:
    """Return what is wrong with the packets of a step, None where nothing is."""
    found = {finding.code for finding in findings if finding.severity == "error"}
    wanted = {step.expected} if step.expected else set()
    if found == wanted:
        return None
    if wanted - found:
        return f"verify() did not find {step.expected}"
    return f"verify() found {', '.join(sorted(found - wanted))}"


def _statements(imports: dict[str, set[str]]) -> list[str]:
    """Return import statements in the usual order: of the future, plain ones, of this package."""
    ordered = sorted(imports, key=lambda module: (module != "__future__", "." in module, module))
    return [
        f"from {module} import {', '.join(sorted(imports[module]))}"
        if imports[module]
        else f"import {module}"
        for module in ordered
    ]


def _rank(opened: OpenedSocket) -> int:
    """Sort the sockets that a step is about to the front: those that take a privilege."""
    return 0 if opened.type == "SOCK_RAW" else 1
