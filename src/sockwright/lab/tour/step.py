"""A step of the tour: what it is, and what came of it."""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass, field
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

__all__ = ["Step", "StepResult", "not_played", "play"]

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
    machine lacks something, and `skipped` says what; where it is False `error` says why. `expected`
    is the code of the finding that the step is to provoke. `code` are the functions that ran and
    `imports` the statements that they need in front of them,
    `packets` what was on the wire, `messages` what went through UNIX sockets, `counters` by how
    much those of host b's kernel went up. `hosts` is empty where no hosts could be had.
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
    imports: list[str] = field(default_factory=list)
    code: list[Played] = field(default_factory=list)
    sockets: list[OpenedSocket] = field(default_factory=list)
    packets: list[Rung] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    hosts: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0


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
        privilege=_privilege(step),
        privileged=_privileged(step),
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


def not_played(step: Step, reason: str) -> StepResult:
    """Return the result of a step that there are no hosts for."""
    return StepResult(
        step=step.name,
        title=step.title,
        text=step.text,
        family=None,
        type=None,
        protocol=None,
        privilege=_privilege(step),
        privileged=_privileged(step),
        ok=None,
        error=None,
        skipped=reason,
        expected=step.expected or None,
    )


def _privilege(step: Step) -> str | None:
    return step.privilege.name if step.privilege is not None else None


def _privileged(step: Step) -> bool:
    return step.privilege is None or step.privilege in Privileges.current()


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
