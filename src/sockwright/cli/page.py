"""The page that `sw --help` shows: every verb in its group, with the tools it stands in for."""

from __future__ import annotations

from textwrap import wrap

from sockwright.cli.verbs import GROUPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sockwright.cli.verbs import Verb

__all__ = ["help_page"]

# Below this the tools go under the summary instead of beside it.
_TWO_COLUMNS_FROM = 72
_WIDEST_TOOLS = 24
_BOLD, _DIM, _CYAN, _OFF = "\x1b[1m", "\x1b[2m", "\x1b[36m", "\x1b[0m"


def help_page(verbs: Iterable[Verb], width: int, *, colour: bool) -> str:
    """Return the help page folded to `width` columns (at most 100 are used)."""
    width = min(width, 100)
    paint = _paint if colour else _plain
    lines = [
        *wrap("Sockwright: one workbench for stream, datagram and raw sockets", width),
        "",
        paint("usage", _BOLD),
        "  sw VERB [ARGUMENT ...]",
        "  sw VERB --help",
    ]
    if width >= _TWO_COLUMNS_FROM:
        lines[-2] = lines[-2].ljust(28) + paint("run a verb; --json for programs", _DIM)
        lines[-1] = lines[-1].ljust(28) + paint("its options, with examples", _DIM)
    groups: dict[str, list[Verb]] = {name: [] for name in GROUPS}
    for verb in verbs:
        groups.setdefault(verb.group, []).append(verb)
    everyone = [verb for members in groups.values() for verb in members]
    names = max((len(verb.name) for verb in everyone), default=4)
    head_of_tools = "stands in for"
    tools = max([len(head_of_tools), *(len(verb.stands_in_for) for verb in everyone)])
    tools = min(tools, _WIDEST_TOOLS)
    for group, members in groups.items():
        if not members:
            continue
        title = f"{group}: {GROUPS[group]}" if group in GROUPS else group or "more"
        if width >= _TWO_COLUMNS_FROM:
            gap = " " * max(2, width - tools - len(title))
            lines += ["", paint(title, _BOLD) + gap + paint(head_of_tools, _DIM)]
            head_of_tools = ""
        else:
            lines += ["", *(paint(line, _BOLD) for line in wrap(title, width))]
        for verb in members:
            lines += _wide(verb, names, tools, width, paint) if width >= _TWO_COLUMNS_FROM else []
            lines += _narrow(verb, width, paint) if width < _TWO_COLUMNS_FROM else []
    status = (
        "exit status: 0 done, 1 failed, 2 usage, 3 time limit, 4 TLS verification, "
        "5 not possible here, 6 corrupt input"
    )
    lines += ["", *(paint(line, _DIM) for line in wrap(status, width))]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _wide(verb: Verb, names: int, tools_width: int, width: int, paint: Painter) -> Iterator[str]:
    """Yield name, summary and tools side by side, the longer ones folded."""
    summary_width = width - names - tools_width - 6
    summary = wrap(verb.summary, summary_width) or [""]
    tools = wrap(verb.stands_in_for, tools_width) or [""]
    for index in range(max(len(summary), len(tools))):
        name = verb.name if index == 0 else ""
        left = summary[index] if index < len(summary) else ""
        right = tools[index] if index < len(tools) else ""
        name = paint(name.ljust(names), _CYAN)
        yield f"  {name}  {left.ljust(summary_width)}  {paint(right, _DIM)}"


def _narrow(verb: Verb, width: int, paint: Painter) -> Iterator[str]:
    yield "  " + paint(verb.name, _CYAN)
    yield from ("    " + line for line in wrap(verb.summary, max(10, width - 4)))
    if verb.stands_in_for:
        tools = wrap(f"for {verb.stands_in_for}", max(10, width - 4))
        yield from ("    " + paint(line, _DIM) for line in tools)


def _paint(text: str, style: str) -> str:
    return f"{style}{text}{_OFF}" if text.strip() else text


def _plain(text: str, _style: str) -> str:
    return text


if TYPE_CHECKING:
    from collections.abc import Callable

    Painter = Callable[[str, str], str]
