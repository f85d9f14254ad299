"""Make hosts to try things on, and run commands or open shells in them.

Group: lab
Stands in for: ip netns, unshare, mininet

The hosts are network namespaces of `sockwright.lab`: two or more, joined by Ethernet, for root and
for an ordinary user. They are there for as long as the command runs.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from sockwright.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator

    from sockwright.lab import Host, Lab

EXAMPLES: tuple[tuple[str, str], ...] = (
    ("sw lab show", "make two hosts, a and b, and show their addresses"),
    ("sw lab show --hosts web,db,client --router", "more hosts, the last behind a router"),
    ("sw lab run a -- ip addr", "run a command in host a"),
    ("sw lab run --hosts web,client web -- cat /etc/hosts", "hosts with names of your own"),
    ("sw lab run --router a -- ip route", "put the last host behind a router"),
    ("sw lab shell", "open a shell on each host, side by side where tmux is there"),
    ("sw lab shell --loss 10% --delay 50ms b", "one shell, on b, with a bad link between them"),
)

# A file system of the lab's own: what is written there is gone with the lab.
_PRIVATE = Path("/dev/shm")  # noqa: S108


@dataclass(slots=True)
class Place:
    """One interface of a host."""

    host: str
    interface: str
    ipv4: str
    ipv6: str
    mac: str
    segment: int


@dataclass(slots=True)
class Output:
    """What a command in a host wrote, and the status that it ended with."""

    columns: ClassVar[tuple[str, ...]] = ("host", "status", "output", "error")

    host: str
    command: list[str]
    status: int
    output: str
    error: str


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions, each with the options that say which hosts there are."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="show the addresses of the hosts")
    run = actions.add_parser("run", help="run a command in a host")
    shell = actions.add_parser("shell", help="open shells on the hosts")
    for one in (show, run, shell):
        _topology(one)
    run.add_argument("host", help="where to run it")
    run.add_argument("command", nargs="+", help="the command and its words, after --")
    shell.add_argument("host", nargs="?", help="open one shell, on this host")


def run(args: argparse.Namespace) -> Generator[Place | Output, None, int]:
    """Make the hosts, do the action, and let the hosts go.

    Raises:
        UsageError: there is no such host, or its name cannot be one.
        NotPossibleError: this machine refuses namespaces to this user.
        OSError: the command cannot be started.
    """
    from sockwright.lab import Lab

    with Lab() as lab:
        _make(lab, args)
        if args.action == "show":
            for host in lab.all_hosts:
                for one in host.interfaces:
                    yield Place(host.name, one.name, one.ipv4, one.ipv6, one.mac, one.segment)
            return 0
        if args.action == "shell":
            return _shell(lab, args.host)
        host = _named(lab, args.host)
        environment = _environment(host)
        if args.json:
            done = host.run(args.command, env=environment)
            status = _status(done.returncode)
            yield Output(host.name, args.command, status, done.stdout, done.stderr)
            return status
        sys.stdout.flush()
        with host.popen(args.command, env=environment) as process:
            return _status(process.wait())


def _topology(parser: argparse.ArgumentParser) -> None:
    import argparse

    parser.add_argument(
        "--hosts", default="a,b", metavar="NAMES", help="their names, with commas (default a,b)"
    )
    parser.add_argument(
        "--router", action="store_true", help="put the last host on a segment behind a router, r"
    )
    parser.add_argument(
        "--loss",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="frames lost, one way: 10%% or 0.1",
    )
    parser.add_argument(
        "--delay", type=_seconds, default=0.0, metavar="TIME", help="one way: 50ms, or 0.05 seconds"
    )
    # The command knows this option before the action; people write it after it as well.
    parser.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )


def _share(text: str) -> float:
    import argparse

    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"a share is from 0 to 1, or 0% to 100%, not {text!r}")
    return share


def _seconds(text: str) -> float:
    import argparse

    factor = 1e-3 if text.endswith("ms") else 1
    try:
        seconds = float(text.removesuffix("ms").removesuffix("s")) * factor
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(
            f"a time is from 0 to 3600 seconds, as 50ms or 0.05, not {text!r}"
        )
    return seconds


def _make(lab: Lab, args: argparse.Namespace) -> None:
    names = args.hosts.split(",")
    if args.router and len(names) < 2:
        raise UsageError("a router needs a host on either side: --hosts a,b")
    try:
        if args.router:
            lab.hosts(*names[:-1])
            lab.hosts(names[-1], segment=1)
            lab.router("r")
        else:
            lab.hosts(*names)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not (args.loss or args.delay):
        return
    for first, second in combinations(lab.all_hosts, 2):
        segments = {one.segment for one in first.interfaces}
        if segments & {one.segment for one in second.interfaces}:
            lab.link(first, second).loss(args.loss).delay(args.delay)


def _named(lab: Lab, name: str) -> Host:
    try:
        return lab[name]
    except KeyError:
        names = ", ".join(host.name for host in lab.all_hosts)
        raise UsageError(f"there is no host {name!r}, only {names}") from None


def _shell(lab: Lab, name: str | None) -> int:
    """Open one shell, or one for each host side by side, and wait for the end."""
    hosts = lab.all_hosts
    at_terminal = os.isatty(0) and os.isatty(1)
    if name is None and len(hosts) > 1 and at_terminal and shutil.which("tmux"):
        return _panes(lab)
    host = hosts[0] if name is None else _named(lab, name)
    sys.stdout.flush()
    with host.popen(_shell_command(lab, host), env=_environment(host)) as process:
        return _status(process.wait())


def _panes(lab: Lab) -> int:
    """Run a tmux of the lab's own: its server and its socket end with the lab."""
    hosts = lab.all_hosts
    first = hosts[0]
    words = ["tmux", "-S", str(_PRIVATE / "tmux"), "-f", os.devnull]
    for host in hosts:
        if host is first:
            command = shlex.join(_shell_command(lab, host))
            words += ["new-session", "-n", "lab", command]
        else:
            # The server runs in the first host; a process that sleeps in this one shows it there.
            anchor = host.popen(["sleep", "infinity"])
            enter = ["nsenter", f"--target={anchor.pid_inside}", "--net", "--mount", "--uts", "--"]
            command = shlex.join(
                [*enter, "env", f"--chdir={Path.cwd()}", *_shell_command(lab, host)]
            )
            words += [";", "split-window", "-h", command]
    words += [
        ";", "select-layout", "even-horizontal" if len(hosts) < 4 else "tiled",
        ";", "set-option", "-g", "mouse", "on",
        ";", "set-option", "-g", "status-left", "",
        ";", "set-option", "-g", "status-right",
        "Ctrl-b o: the other host   Ctrl-b &: end the lab",
        ";", "set-option", "-g", "status-right-length", "60",
        ";", "select-pane", "-t", "0",
    ]  # fmt: skip
    environment = _environment(first)
    for inherited in ("TMUX", "TMUX_PANE"):  # or tmux refuses to run inside tmux
        environment.pop(inherited, None)
    sys.stdout.flush()
    with first.popen(words, env=environment) as client:
        return _status(client.wait())


def _shell_command(lab: Lab, host: Host) -> list[str]:
    shell = shutil.which("bash")
    if shell is None:
        return ["/bin/sh"]
    if not os.isatty(0):
        return [shell]
    settings = _PRIVATE / f"{host.name}.bashrc"
    host.run(["tee", str(settings)], input=_settings(lab, host), check=True)
    return [shell, "--rcfile", str(settings), "-i"]


def _environment(host: Host) -> dict[str, str]:
    """Return our environment with the host's name, its prompt, and `sw` on the PATH."""
    from sockwright.lab.host import environment

    folder = Path(sys.executable).parent
    found = environment()
    if (folder / "sw").exists():
        found["PATH"] = f"{folder}{os.pathsep}{found['PATH']}"
    return found | {"LAB_HOST": host.name, "PS1": f"{host.name}$ "}


def _settings(lab: Lab, host: Host) -> str:
    """Return what bash is to do at its start: the user's own settings, the prompt, the greeting."""
    colour = 31 + lab.all_hosts.index(host) % 6
    name = host.name if "NO_COLOR" in os.environ else rf"\[\e[1;{colour}m\]{host.name}\[\e[0m\]"
    prompt = shlex.quote(name + r":\w\$ ")
    lines = [
        "[ -r ~/.bashrc ] && . ~/.bashrc",
        f"export LAB_HOST={shlex.quote(host.name)}",
        f"PS1={prompt}",
        "PROMPT_COMMAND=",
    ]
    if not shutil.which("sw") and not (Path(sys.executable).parent / "sw").exists():
        lines.append(f'sw() {{ {shlex.quote(sys.executable)} -m sockwright "$@"; }}')
    lines += [f"printf '%s\\n' {shlex.quote(line)}" for line in _greeting(lab, host)]
    return "\n".join(lines) + "\n"


def _greeting(lab: Lab, host: Host) -> list[str]:
    others = [one for one in lab.all_hosts if one is not host]
    path = _environment(host)["PATH"]
    lines = [f"This is host {host.name}. You are root here, and only here."]
    for one in lab.all_hosts:
        for place in one.interfaces:
            here = "*" if one is host else " "
            lines.append(f" {here} {one.name:8} {place.name}  {place.ipv4:12} {place.ipv6}")
    if others:
        peer = others[0].name
        tools = "    ip addr    ip neigh" if shutil.which("ip", path=path) else ""
        # The python3 beside sw has the library; any other may not.
        found = shutil.which("python3", path=path)
        beside = found is not None and Path(found).parent == Path(sys.executable).parent
        python = "python3" if beside else shlex.quote(sys.executable)
        if shutil.which("nc", path=path):
            client = f"nc -z -v {host.ipv4} 80"
        else:
            client = (
                f"{python} -c \"import sockwright as s; print(s.connect('tcp://{host.name}:80'))\""
            )
        lines += [
            f"Try:  sw doctor{tools}",
            f"      {python} -m http.server 80   here, and in {peer}:",
            f"      {client}",
        ]
    lines.append("Ctrl-D or exit leaves; nothing of the lab stays.")
    return lines


def _status(code: int) -> int:
    """Return an exit status as a shell gives it: 128 and the number of the signal."""
    return code if code >= 0 else 128 - code
