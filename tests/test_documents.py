"""README, site and help pages: what they show is run here.

The convention, which `docs/contributing.md` states: python fences of a page run in order as one
program; a console fence runs its ``$`` lines by bash, and what stands under a line is what it must
print, where a line ``...`` is any number of lines. A comment before a fence,
``<!-- needs: root, tshark -->``, names what it needs. Other fences are not run. The folder that a
command starts in holds nothing but `capture.pcap`: a host asks its router for an address by ARP, a
name server for a name, and a web server for a page.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sockwright import ARP, TCP, UDP, Ethernet, IPv4, Packet
from sockwright.cli.verbs import find_verbs
from sockwright.records import PcapWriter, Record
from sockwright.wire import MSS

_ROOT = Path(__file__).resolve().parent.parent
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(
    r"^(?:<!-- needs: (?P<needs>[^>]*?) -->\n+)?```(?P<language>\w*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_SECONDS = 60
_VERBS = find_verbs()


@dataclass(slots=True)
class Fence:
    """A fence of a page: where it begins, what it holds, what it needs."""

    page: Path
    line: int
    language: str
    body: str
    needs: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(_ROOT)}:{self.line}"


def _fences(page: Path) -> list[Fence]:
    text = page.read_text()
    return [
        Fence(
            page,
            text.count("\n", 0, found.start("body")) + 1,
            found["language"],
            found["body"],
            [name.strip() for name in (found["needs"] or "").split(",") if name.strip()],
        )
        for found in _FENCE.finditer(text)
    ]


def _write_capture(path: Path) -> None:
    """Write the capture that pages and examples read."""
    client, router = "02:00:00:00:00:01", "02:00:00:00:00:02"
    question = bytes.fromhex("beef0100000100000000000003777777076578616d706c6503636f6d0000010001")
    get = b"GET / HTTP/1.0\r\nHost: www.example.com\r\n\r\n"
    page = b"HTTP/1.0 200 OK\r\n\r\nhello\n"
    name_server = Ethernet(src=client, dst=router) / IPv4(src="192.0.2.1", dst="203.0.113.53")
    there = Ethernet(src=client, dst=router) / IPv4(src="192.0.2.1", dst="198.51.100.7")
    back = Ethernet(src=router, dst=client) / IPv4(src="198.51.100.7", dst="192.0.2.1")

    def sent(seq: int, ack: int, flags: str, *options: MSS) -> Packet:
        return there / TCP(
            src_port=50000, dst_port=80, seq=seq, ack=ack, flags=flags, options=options
        )

    def answered(seq: int, ack: int, flags: str, *options: MSS) -> Packet:
        return back / TCP(
            src_port=80, dst_port=50000, seq=seq, ack=ack, flags=flags, options=options
        )

    asked, served = 1001 + len(get), 9001 + len(page)
    packets = [
        Ethernet(src=client, dst="ff:ff:ff:ff:ff:ff")
        / ARP(sender_mac=client, sender_ip="192.0.2.1", target_ip="192.0.2.2"),
        Ethernet(src=router, dst=client)
        / ARP(
            operation=2,
            sender_mac=router,
            sender_ip="192.0.2.2",
            target_mac=client,
            target_ip="192.0.2.1",
        ),
        name_server / UDP(src_port=50001, dst_port=53) / question,
        sent(1000, 0, "S", MSS(1460)),
        answered(9000, 1001, "SA", MSS(1460)),
        sent(1001, 9001, "A"),
        sent(1001, 9001, "PA") / get,
        answered(9001, asked, "PA") / page,
        answered(served, asked, "FA"),
        sent(asked, served + 1, "FA"),
        answered(served + 1, asked + 1, "A"),
    ]
    with path.open("wb") as file:
        writer = PcapWriter(file, nanoseconds=False)
        for number, packet in enumerate(packets):
            octets = bytes(packet)
            writer.write(Record(_BEGIN_NS + 250_000 * number, octets, len(octets)))


_BEGIN_NS = 1_700_000_000_000_000_000
_FENCES = [fence for page in _PAGES for fence in _fences(page)]
_PYTHON = {page: [f for f in _fences(page) if f.language == "python"] for page in _PAGES}
_PROGRAMS = [
    pytest.param(
        page,
        id=str(page.relative_to(_ROOT)),
        marks=[pytest.mark.needs(*{name for fence in fences for name in fence.needs})],
    )
    for page, fences in _PYTHON.items()
    if fences
]
_CONSOLES = [
    pytest.param(fence, id=fence.name, marks=[pytest.mark.needs(*fence.needs)])
    for fence in _FENCES
    if fence.language == "console"
]
_EXAMPLES = [
    pytest.param(command, id=f"{name}: {command}")
    for name, verb in _VERBS.items()
    for command, _ in verb.load().EXAMPLES
]


def _shell(command: str) -> list[str]:
    """Return what runs `command` by bash, in a network of its own."""
    return _alone(["bash", "-o", "pipefail", "-c", command])


def _alone(command: list[str]) -> list[str]:
    """Return what runs `command`, as root, in a network of its own.

    Other tests run beside this one, and their sockets and packets would be seen, too.
    """
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return command
    return ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", *command]


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    if not (folder / "capture.pcap").exists():
        _write_capture(folder / "capture.pcap")
    keep = {name: value for name, value in os.environ.items() if "COLOR" not in name}
    path = os.pathsep.join([str(Path(sys.executable).parent), keep["PATH"], "/usr/sbin", "/sbin"])
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_SECONDS,
        cwd=folder,
        env=keep | {"PATH": path, "HOME": str(folder)},
    )


@pytest.mark.parametrize("page", _PROGRAMS, ids=lambda page: str(page.relative_to(_ROOT)))
def test_python_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    program = ""
    for fence in _fences(page):
        if fence.language == "python":
            # The lines keep their numbers, so that an error names the place in the page.
            program += "\n" * (fence.line - 1 - program.count("\n")) + fence.body
    script = tmp_path / f"{page.stem}.py"
    script.write_text(program)
    done = _run(_alone([sys.executable, "-W", "error", str(script)]), tmp_path)
    if os.geteuid() != 0 and (said := re.search(r"this kernel wants CAP_NET_RAW .*", done.stdout)):
        pytest.skip(said[0])
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("fence", _CONSOLES)
def test_console_of_the_page_shows_what_happens(fence: Fence, tmp_path: Path) -> None:
    assert fence.body.startswith("$ "), f"{fence.name}: a console fence starts with a command"
    for part in re.split(r"^\$ ", fence.body, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        done = _run(_alone(["bash", "-c", command]), tmp_path)
        if not expected.strip():
            assert done.returncode == 0, f"{fence.name}: {command}\n{done.stdout}"
            continue
        pattern = "".join(
            r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line.rstrip()) + r"[ ]*\n"
            for line in expected.rstrip().splitlines()
        )
        printed = done.stdout if done.stdout.endswith("\n") else done.stdout + "\n"
        assert re.fullmatch(pattern, printed), f"{fence.name}: {command}\n{done.stdout}"


@pytest.mark.parametrize("command", _EXAMPLES)
def test_example_of_the_verb_runs(command: str, tmp_path: Path) -> None:
    done = _run(_shell(command), tmp_path)
    # 5 says that this machine or this user cannot; with root and namespaces nothing says so.
    accepted = {0} if os.geteuid() == 0 else {0, 5}
    assert done.returncode in accepted, done.stdout


def test_readme_starts_with_its_two_commands() -> None:
    first = next(fence for fence in _FENCES if fence.page.name == "README.md")
    commands = [line.split("#")[0].strip() for line in first.body.splitlines()]
    assert commands == ["make tour", "make test"]


def test_a_shell_finds_the_command_as_the_readme_says(tmp_path: Path) -> None:
    readme = [fence for fence in _FENCES if fence.page.name == "README.md"]
    here = str(Path(sys.executable).with_name("activate"))
    script = readme[1].body.replace(".venv/bin/activate", here)
    assert here in script
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["sh", "-euc", script],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=60,
    )
    assert done.stdout.startswith("sockwright ")


def test_readme_lists_every_verb_beside_what_it_stands_in_for() -> None:
    text = (_ROOT / "README.md").read_text()
    rows = [
        f"| `sw {verb.name}` | {verb.summary} | {verb.stands_in_for} |" for verb in _VERBS.values()
    ]
    missing = [row for row in rows if row not in text]
    assert not missing, "the table in README.md lacks:\n" + "\n".join(missing)
    shown = re.findall(r"^\| `sw ([\w-]+)` \|", text, re.MULTILINE)
    assert sorted(shown) == sorted(_VERBS), "the table in README.md names a verb that is not there"


def test_readme_shows_the_tour() -> None:
    text = (_ROOT / "README.md").read_text()
    block = text.partition("<!-- tour begins -->")[2].partition("<!-- tour ends -->")[0]
    output = re.search(r"^```text\n(.*?)^```$", block, re.MULTILINE | re.DOTALL)
    if "tour" in _VERBS:
        assert output is not None, "README.md shows no output of the tour"
        lines = output[1].splitlines()
        assert len(lines) >= 10
        assert all(len(line) <= 100 for line in lines)
        assert re.search(r"SYN|\[S", output[1])


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in _PAGES:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target} is not there"
