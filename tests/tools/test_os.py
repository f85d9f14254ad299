"""sw os, as people call it, from a host of the lab."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.identify.systems import OPEN_PORT, Here

from sockwright.errors import UsageError
from sockwright.lab import Lab
from sockwright.tools.os import quick_arguments, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.lab import Host

SW = str(Path(sys.executable).with_name("sw"))


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    with Here() as system:
        yield system


_LINES = {
    "plain": [],
    "explained": ["--explain"],
    "measured": ["--json", "--measured", "-p", str(OPEN_PORT)],
    "bare": ["--json"],
    "mistaken": ["-p", "81", "--closed", str(OPEN_PORT)],
    "none": ["-p", "81,83"],
    "options": [
        "--json",
        "--explain",
        "-p",
        f"1,{OPEN_PORT},ssh",
        "--timeout",
        "9s",
        "--closed",
        "1",
    ],
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Return the address and the output of each of `_LINES`, of hosts that are all alike."""
    home = {**os.environ, "XDG_DATA_HOME": str(tmp_path_factory.mktemp("home")), "NO_COLOR": "1"}
    with Lab() as lab, contextlib.ExitStack() as opened:
        prober, *systems = lab.hosts("prober", *_LINES)
        for system in systems:
            listener = opened.enter_context(system.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.bind(("0.0.0.0", OPEN_PORT))  # in a namespace
            listener.listen(64)

        def ask(system: Host) -> tuple[str, str]:
            command = [SW, "os", *_LINES[system.name], system.ipv4]
            done = prober.run(command, env=home, timeout=60)
            assert done.returncode == 0, done.stderr
            return system.ipv4, done.stdout

        with ThreadPoolExecutor(len(_LINES)) as threads:
            return dict(zip(_LINES, threads.map(ask, systems), strict=True))


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a user who has learned nothing yet."""
    return {**os.environ, "XDG_DATA_HOME": str(tmp_path), "NO_COLOR": "1"}


def sw(
    system: Here, home: dict[str, str], *words: str, privileged: bool = True
) -> subprocess.CompletedProcess[str]:
    command = [SW, "os", *words]
    return system.prober.run(command, env=home, timeout=60, privileged=privileged)


def usage(*words: str) -> str:
    """Return why a line is refused before anything is sent."""
    args = quick_arguments(words)
    assert args is not None
    with pytest.raises(UsageError) as refused:
        list(run(args))
    return str(refused.value)


@pytest.mark.needs("namespaces")
def test_a_host_is_named_by_its_address_alone(told: dict[str, tuple[str, str]]) -> None:
    address, output = told["plain"]
    first, *rest = output.splitlines()
    assert first.startswith(f"{address}: Linux ")
    assert "0.99" in first
    assert f"  asked at TCP {OPEN_PORT} as the open one, TCP " in rest[0]
    assert any("none fails" in line for line in rest)
    assert any("no uptime" in line for line in rest)


@pytest.mark.needs("namespaces")
def test_a_program_gets_all_of_it(told: dict[str, tuple[str, str]]) -> None:
    address, output = told["measured"]
    row: dict[str, Any] = json.loads(output)
    assert (row["kind"], row["host"], row["family"]) == ("system", address, "Linux")
    assert row["confidence"] > 0.8
    assert row["ports"]["open"] == OPEN_PORT
    assert row["measured"]["t5.flags"] == "RA"
    best = row["candidates"][0]
    assert best["failed"] == []
    assert {"test", "weight", "expected", "found"} == set(best["matched"][0])
    assert row["uptime_ns"] is None
    assert row["why_no_uptime"]


@pytest.mark.needs("namespaces")
def test_options_that_have_nothing_to_do_with_it_change_nothing(
    told: dict[str, tuple[str, str]],
) -> None:
    rows = [json.loads(told[name][1]) for name in ("bare", "options")]
    assert len({row["best"] for row in rows}) == 1
    assert len({row["confidence"] for row in rows}) == 1


@pytest.mark.needs("namespaces")
def test_the_explanation_shows_weights(told: dict[str, tuple[str, str]]) -> None:
    lines = told["explained"][1].splitlines()
    of_options = "agrees (+4.5): syn_ack.options is mss,sok,ts,nop,ws"
    assert f"    {of_options} (TCP options of the SYN-ACK, in order)" in lines


@pytest.mark.needs("namespaces")
def test_the_explanation_has_every_test_that_agrees_or_fails(
    told: dict[str, tuple[str, str]],
) -> None:
    lines = [line.strip() for line in told["explained"][1].splitlines()]
    best = next(n for n, line in enumerate(lines) if " tests agree, 0 fail; " in line)
    count = int(lines[best].partition(" tests agree")[0].rpartition(" ")[2])
    row: dict[str, Any] = json.loads(told["measured"][1])
    of_best = next(n for n, line in enumerate(lines) if line.startswith("not made: "))
    pattern = r"agrees(?: if a setting was changed)? \(([+-][\d.]+)\): ([\w.]+) is "
    shown = [found for line in lines[best:of_best] for found in re.findall(pattern, line)]
    assert len({test for _, test in shown}) == count
    measured = {verdict["test"] for verdict in row["candidates"][0]["matched"]}
    assert measured <= {test for _, test in shown}
    assert all(float(weight) >= 0 for weight, test in shown if test in measured)


@pytest.mark.needs("namespaces")
def test_the_first_of_several_ports_that_is_open_is_asked(
    told: dict[str, tuple[str, str]],
) -> None:
    assert json.loads(told["options"][1])["ports"]["open"] == OPEN_PORT


@pytest.mark.needs("namespaces")
def test_each_port_is_said_as_what_it_turned_out_to_be(told: dict[str, tuple[str, str]]) -> None:
    lines = told["mistaken"][1].splitlines()
    asked = f"  asked at TCP 81 (it is closed), TCP {OPEN_PORT} (it is open), UDP "
    assert lines[1].startswith(asked)
    assert any(f"port {OPEN_PORT} accepts connections" in line for line in lines)
    assert "  none of 2 TCP ports is open; -p names others" in told["none"][1].splitlines()


@pytest.mark.needs("namespaces")
def test_several_hosts_are_asked_and_one_that_cannot_be_is_said(
    here: Here, home: dict[str, str]
) -> None:
    done = sw(here, home, "--json", "--timeout", "5", here.ipv4, "192.0.2.1")
    assert done.returncode == 1
    assert [json.loads(line)["host"] for line in done.stdout.splitlines()] == [here.ipv4]
    assert "192.0.2.1: " in done.stderr


@pytest.mark.needs("namespaces")
def test_nobody_at_an_address_is_said(here: Here, home: dict[str, str]) -> None:
    nobody = here.ipv4.rpartition(".")[0] + ".99"
    done = sw(here, home, "--timeout", "1", nobody)
    assert done.stdout.splitlines()[:2] == [f"{nobody}: unknown", "  nothing answered"]


@pytest.mark.needs("namespaces")
def test_what_was_learned_is_used_from_then_on(here: Here, home: dict[str, str]) -> None:
    learned = sw(here, home, "--learn", "Teapot 4.18", here.ipv4)
    assert learned.returncode == 0, learned.stderr
    folder = Path(home["XDG_DATA_HOME"]) / "sockwright" / "signatures"
    (path,) = folder.iterdir()
    assert path.name == "teapot-4.18.toml"
    text = path.read_text()
    assert 'kind = "learned"' in text
    assert "[signature.syn_ack]" in text
    row = json.loads(sw(here, home, "--json", here.ipv4).stdout)
    candidates = {one["name"]: one for one in row["candidates"]}
    assert candidates["Teapot 4.18"]["family"] == "Teapot"
    assert candidates["Teapot 4.18"]["failed"] == []
    assert candidates["Teapot 4.18"]["score"] > 0.2


@pytest.mark.needs("namespaces")
def test_a_learned_signature_is_not_written_over_in_silence(
    here: Here, home: dict[str, str]
) -> None:
    folder = Path(home["XDG_DATA_HOME"]) / "sockwright" / "signatures"
    folder.mkdir(parents=True)
    (folder / "teapot.toml").write_text("# mine\n")
    again = sw(here, home, "--learn", "Teapot", here.ipv4)  # nothing is sent for that
    assert again.returncode == 1
    assert "--replace" in again.stderr
    assert (folder / "teapot.toml").read_text() == "# mine\n"
    assert sw(here, home, "--learn", "Teapot", "--replace", here.ipv4).returncode == 0
    assert [one.name for one in folder.iterdir()] == ["teapot.toml"]


@pytest.mark.needs("namespaces")
def test_nothing_is_learned_from_a_host_without_an_open_port(
    here: Here, home: dict[str, str]
) -> None:
    done = sw(here, home, "--learn", "Teapot", "-p", "81", here.ipv4)
    assert done.returncode == 1
    assert "TCP 81 is not open: nothing is learned" in done.stderr


@pytest.mark.needs("namespaces")
def test_without_privilege_it_says_what_is_missing(here: Here, home: dict[str, str]) -> None:
    done = sw(here, home, here.ipv4, privileged=False)
    assert done.returncode == 5
    assert done.stderr.count("\n") == 1
    assert "CAP_NET_RAW" in done.stderr
    assert "as root, or in a lab" in done.stderr
    assert "--passive" in done.stderr


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "TARGET is missing"),
        ("10.0.0.1 --passive x.pcap", "no file 10.0.0.1"),
        ("-i lo 10.0.0.1", "do not go together"),
        ("-p sshd 10.0.0.1", "ssh"),
        ("-p U:53 10.0.0.1", "TCP port"),
        ("-p 1-100 10.0.0.1", "up to 40 ports"),
        ("--closed http,https 10.0.0.1", "one port"),
        ("-iL /dev/null", "TARGET is missing"),
        ("10.0.0.1:22", "sw os -p 22 10.0.0.1"),
        ("22", "is a port"),
        ("http://x.example/", "sw os x.example"),
        ("-O 10.0.0.1", "by itself"),
        ("-Pn 10.0.0.1", "every host is probed"),
        ("-r x.pcap", "--passive FILE"),
        ("-iLx -i lo", "do not go together"),
        ("--exclude 10.0.0.0/8 10.0.0.1", "--exclude takes all"),
        ("--duration 3 10.0.0.1", "-i alone"),
        ("-p 0 10.0.0.1", "from 1 to 65535"),
        ("--family x 10.0.0.1", "--learn alone"),
        ("--learn x -i lo", "nothing is sent"),
        ("--learn x 10.0.0.0/30", "one host"),
        ("10.0.0.0/16", "--yes"),
        ("--timeout 0 10.0.0.1", "above 0"),
        ("--p0f x 10.0.0.1", "overheard"),
        ("--learn ... 127.0.0.1", "letters or digits"),
    ],
)
def test_what_does_not_fit_is_refused(line: str, told: str) -> None:
    assert told in usage(*line.split())


def test_what_is_refused_is_a_usage_error_in_one_line() -> None:
    done = subprocess.run(
        [SW, "os", "--explian"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "sw os: there is no flag --explian; --explain is one\n"


@pytest.mark.parametrize("text", [b"[[signature]]\nname = 5\n", b"\xff\xfe"])
def test_a_broken_signature_of_the_user_is_named(tmp_path: Path, text: bytes) -> None:
    folder = tmp_path / "sockwright" / "signatures"
    folder.mkdir(parents=True)
    mine = folder / "mine.toml"
    mine.write_bytes(text)
    done = subprocess.run(
        [SW, "os", "--passive", os.devnull],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path)},
    )
    assert done.returncode == 6
    assert done.stderr.startswith(f"sw os: {mine}: ")
    assert done.stderr.endswith("; mend that file, or take it away\n")
    assert done.stderr.count("\n") == 1
