"""The line of sw scan is read as nmap reads it; what cannot be done is refused with the reason."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sockwright.errors import UsageError
from sockwright.scan.settings import PRESETS
from sockwright.scan.targets.ports import top_ports
from sockwright.tools._nc_flags import _NcFlags
from sockwright.tools._os_flags import _OsFlags
from sockwright.tools._scan_absent import ABSENT
from sockwright.tools._scan_flags import _ScanFlags, add_arguments, read_words
from sockwright.tools._scan_settings import check_flags, make_settings, ports_left_out, time_limit

if TYPE_CHECKING:
    from sockwright.scan.settings import Settings
    from sockwright.tools._flags import Arguments, Flags


def read(line: str) -> Arguments:
    """Read a line that asks for no help."""
    found = read_words(line.split())
    assert found is not None
    return found


def settings(line: str) -> Settings:
    """Return what a line asks for."""
    args = read(line)
    check_flags(args)
    return make_settings(args)


def refusal(line: str) -> str:
    """Return why a line is refused."""
    with pytest.raises(UsageError) as error:
        settings(line)
    return str(error.value)


# -- forms of flags -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("-sSU -p22 x", "-sS -sU -p 22 x"),
        ("-sSV x", "-sS -sV x"),
        ("-T4 x", "-T 4 x"),
        ("-T4 x", "-Taggressive x"),
        ("--top-ports 10 x", "--top=10 x"),
        ("--top_ports 10 x", "--top-ports=10 x"),
        ("-oXscan.xml x", "-oX scan.xml x"),
        ("-nv x", "-n -v x"),
        ("-A x", "-A x"),
        ("--max-retries 2 x", "--retries 2 x"),
        ("--max-rate 10 x", "--rate 10 x"),
        ("-P0 x", "-Pn x"),
        ("-p- x", "-p 1-65535 x"),
    ],
)
def test_a_line_means_the_same_in_every_form_of_nmap(line: str, same: str) -> None:
    assert settings(line) == settings(same)
    assert read(line).words == ["x"]


def test_letters_and_words_of_targets_may_be_mixed() -> None:
    args = read("10.0.0.1 -sn 10.0.0.2 -- -odd-name")
    assert args.words == ["10.0.0.1", "10.0.0.2", "-odd-name"]
    assert args.only_hosts


@pytest.mark.parametrize("flags", [_ScanFlags, _OsFlags, _NcFlags])
def test_a_value_that_is_empty_is_none(flags: type[Flags]) -> None:
    for _, _, rows in flags.groups:
        for names, _, metavar, _ in rows:
            for name in names.replace("[", "").replace("]", "").split() if metavar else ():
                args = flags([f"{name}=", "127.0.0.1"]).read()
                assert args is not None
                told = f"the value of {name} is empty: {name} {metavar}"
                assert str(args.mistake) == told or name in {"-T", "-P"}, name


def test_help_is_left_to_argparse_which_knows_every_flag() -> None:
    assert read_words(["-h"]) is None
    assert read_words(["--nonsense", "--help"]) is None
    parser = argparse.ArgumentParser(prog="sw scan", add_help=False)
    add_arguments(parser)
    text = parser.format_help()
    for flag in ("-sS", "-iL FILE", "--host-timeout TIME", "-oX FILE", "--diff OLD"):
        assert flag in text
    args = parser.parse_args(["-sS", "-p", "22", "-oX", "f", "x"])
    assert (args.syn, args.ports, args.xml_file, args.words) == (True, "22", "f", ["x"])


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("--tpo 10 x", "there is no flag --tpo; --top is one"),
        ("-sQ x", "there is no flag -sQ"),
        ("-sSQ x", "(in -sSQ)"),
        ("-s x", "-s wants letters"),
        ("-nq x", "there is no flag -q (in -nq)"),
        ("-p", "-p wants a value: -p PORTS"),
        ("--open=1 x", "--open takes no value"),
        ("-Pnx x", "-Pn takes no value"),
        ("-p 22 -p 23 x", "-p stands twice, '22' and '23'"),
        ("-o x", "-oX"),
        ("--version x", "sw --version"),
    ],
)
def test_a_flag_that_is_none_is_told_with_what_was_meant(line: str, part: str) -> None:
    assert part in refusal(line)


@pytest.mark.parametrize("name", [name for names, _, _ in ABSENT for name in names.split()])
def test_what_nmap_has_and_we_have_not_is_refused_by_name(name: str) -> None:
    metavar = next(metavar for names, metavar, _ in ABSENT if name in names.split())
    told = refusal(f"{name} {'1' if metavar else ''} 127.0.0.1")
    assert "there is no flag" not in told
    assert told.startswith(f"{name}: ")
    assert len(told) > len(name) + 20


def test_a_refused_flag_takes_its_value_with_it_and_not_a_target() -> None:
    args = read("-D RND:10 10.0.0.1 --script vuln --spoof-mac 0 --mtu 8")
    assert args.words == ["10.0.0.1"]
    assert args.absent == ["-D", "--script", "--spoof-mac", "--mtu"]


# -- what does not go together ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("-sT -sS x", "-sT and -sS are two methods of TCP"),
        ("-sSFU x", "-sS and -sF are two methods of TCP"),
        ("-sn -Pn x", "nothing is left to do"),
        ("-sn -p 22 x", "-sn asks no ports; leave -p out"),
        ("-sL -F x", "-sL asks no ports; leave -F out"),
        ("-sn -sU x", "-sn asks no ports; leave -sU out"),
        ("-sn -sV x", "leave -sn out"),
        ("-4 -6 x", "leave both out"),
        ("--top 5 -p 22 x", "choose one"),
        ("--open --all x", "the opposite"),
        ("--version-light x", "goes with -sV"),
        ("--json -oN f x", "try -oJ"),
        ("--json -oX - x", "-oX - and --json both want standard output"),
        ("-oX - -oG - x", "choose one"),
        ("-oX - -oN - x", "choose one"),
        ("-w - x", "-w wants the name of a file"),
        ("-oX -oG x", "-oX wants a value, and -oG is a flag; ./-oG is a file"),
        ("--resume --rate 5", "--resume wants a value, and --rate is a flag"),
        ("-p , x", "','"),
        ("-e nonesuch0 x", "there is no interface 'nonesuch0'"),
        ("-T1 x", "--rate 0.1"),
        ("-T9 x", "-T takes 2, 3, 4 or 5"),
        ("--rate 0 x", "--rate takes packets a second"),
        ("--rate nan x", "--rate takes packets a second"),
        ("--host-rate fast x", "--host-rate takes packets a second"),
        ("--max-miss 0 x", "--max-miss takes a number"),
        ("--host-timeout soon x", "--host-timeout takes a time above 0"),
        ("--top 0 x", "--top takes a number"),
        ("--retries -1 x", "--retries takes a number"),
        ("-p 70000 x", "0 to 65535"),
        ("-p nonsense x", "neither a port nor"),
        ("-p 22 --exclude-ports 22 x", "none is left"),
        ("-sU -p T:22 --exclude-ports 22 x", "none is left"),
    ],
)
def test_what_does_not_go_together_is_told_in_one_line(line: str, part: str) -> None:
    told = refusal(line)
    assert part in told
    assert "\n" not in told


# -- what is asked ------------------------------------------------------------------------------


def test_without_flags_the_top_ports_of_tcp_are_asked_after_discovery() -> None:
    asked = settings("x")
    assert asked.tcp_ports == top_ports(1000, "tcp")
    assert (asked.udp_ports, asked.methods, asked.discovery) == ((), (), "auto")
    assert (asked.rate, asked.host_rate, asked.max_miss) == (1000.0, 1000.0, 0.01)


def test_ports_belong_to_the_protocols_that_are_asked() -> None:
    assert settings("-p 22,53 x").udp_ports == ()
    both = settings("-sSU -p 22,53 x")
    assert (both.tcp_ports, both.udp_ports, both.methods) == ((22, 53), (22, 53), ("syn", "udp"))
    alone = settings("-sU --top 3 x")
    assert alone.tcp_ports == ()
    assert len(alone.udp_ports) == 3
    assert settings("-sU x").udp_ports == top_ports(100, "udp")
    named = settings("-p 22,U:53 x")
    assert (named.tcp_ports, named.udp_ports) == ((22,), (53,))
    assert "udp" in named.methods
    mixed = settings("-sSU -p T:22,U:53 x")
    assert (mixed.tcp_ports, mixed.udp_ports) == ((22,), (53,))


def test_tcp_ports_of_a_scan_of_udp_alone_are_left_out_and_that_is_said() -> None:
    for line in ("-sU -p T:22,U:53 x", "-sU -p 53,t:22 x"):
        asked = settings(line)
        assert (asked.tcp_ports, asked.udp_ports, asked.methods) == ((), (53,), ("udp",))
        assert "behind T: are left out" in ports_left_out(read(line))
    assert "-sU asks UDP alone" in refusal("-sU -p T:22 x")
    for line in ("-sSU -p T:22,U:53 x", "-sU -p 53 x", "-p T:22 x", "-sU x"):
        assert ports_left_out(read(line)) == ""


def test_hosts_alone_and_lists_ask_no_ports() -> None:
    for flag, discovery in (("-sn", "only"), ("-sL", "list")):
        asked = settings(f"{flag} x")
        assert (asked.tcp_ports, asked.udp_ports, asked.discovery) == ((), (), discovery)
    assert settings("-Pn x").discovery == "none"


def test_presets_set_pace_and_patience_and_single_flags_win() -> None:
    for number, preset in PRESETS.items():
        asked = settings(f"-T{number} x")
        assert (asked.rate, asked.host_rate) == (preset.rate, preset.host_rate)
        assert (asked.max_timeout, asked.first_timeout) == (
            preset.max_timeout,
            preset.first_timeout,
        )
    assert settings("-T2 --rate 300 x").rate == 300
    assert settings("--rate max x").rate is None
    assert settings("x").spare_loopback
    assert not settings("--rate 300 x").spare_loopback, "who says a rate means it"
    assert settings("--rate max x").host_rate is None
    assert settings("--rate 5000 x").host_rate is None, "one host gets all that was asked for"
    assert settings("--rate 50 x").host_rate == 1000
    assert settings("--rate 5000 --host-rate 10 x").host_rate == 10
    assert settings("--scan-delay 200ms x").host_rate == pytest.approx(5)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("500ms", 0.5), ("2", 2), ("1h", 3600)]
)
def test_times_have_the_units_of_nmap(text: str, seconds: float) -> None:
    assert settings(f"--host-timeout {text} x").host_timeout == pytest.approx(seconds)
    assert time_limit(read(f"--time-limit {text} x")) == pytest.approx(seconds)


def test_a_longest_wait_below_the_first_one_bounds_that_too() -> None:
    asked = settings("--max-timeout 200ms x")
    assert asked.max_timeout == asked.first_timeout == pytest.approx(0.2)
    longer = settings("--first-timeout 9s x")
    assert longer.max_timeout == longer.first_timeout == 9


def test_everything_else_reaches_the_settings() -> None:
    asked = settings(
        "-A -R -e lo -w proof.pcapng --seed 7 --retries 3 --max-miss 0.5 --hosts 9 "
        "--patience 2m --version-all x"
    )
    assert asked.services
    assert asked.identify_os
    assert asked.traceroute
    assert asked.names
    assert (asked.interface, asked.evidence) == ("lo", Path("proof.pcapng"))
    assert (asked.seed, asked.retries, asked.max_miss) == (7, 3, 0.5)
    assert (asked.hosts_at_once, asked.patience, asked.service_intensity) == (9, 120, 9)
