"""``-p`` and ``--top``, and the list behind it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import sockwright.scan.targets.ports
from sockwright.errors import TargetError
from sockwright.scan.targets import parse_port_set, top_ports
from sockwright.scan.targets.ports import frequent_ports

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sockwright.scan.results import Protocol


@pytest.mark.parametrize(
    ("text", "tcp", "udp"),
    [
        ("22", [22], [22]),
        ("80,22,80", [22, 80], [22, 80]),
        ("8000-8002", [8000, 8001, 8002], [8000, 8001, 8002]),
        ("U:53", [], [53]),
        ("22,U:53,161,T:80-81", [22, 80, 81], [22, 53, 161]),
        ("T:-3", [1, 2, 3], []),
        ("t:65534-", [65534, 65535], []),
        ("0", [0], [0]),
        ("ssh, domain", [22, 53], [53]),
        ("U:domain", [], [53]),
        ("T:microsoft-d?", [445], []),
    ],
)
def test_each_form_stands_for_its_ports(text: str, tcp: list[int], udp: list[int]) -> None:
    ports = parse_port_set(text)
    assert (list(ports.tcp), list(ports.udp)) == (tcp, udp)


def test_a_dash_is_every_port_but_zero() -> None:
    assert parse_port_set("-").tcp == tuple(range(1, 65536))
    assert parse_port_set("T:-").udp == ()


def test_the_protocols_that_were_named_are_told() -> None:
    assert parse_port_set("22").named == frozenset()
    assert parse_port_set("22,U:53").named == {"udp"}


def test_a_pattern_finds_names_of_our_list_and_of_the_machine() -> None:
    web = parse_port_set("http*").tcp
    assert {80, 443} <= set(web)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a port is missing"),
        ("22,", "a port is missing"),
        ("65536", "0 to 65535"),
        ("9-8", "ends before it begins"),
        ("X:1", "T: is for TCP"),
        ("no-such-service", "nor the name of a service"),
        ("no*such", "nor the name of a service"),
        ("1-2-3", "nor the name of a service"),
        ("U:", "a port is missing"),
    ],
)
def test_what_is_not_well_formed_is_an_error(text: str, why: str) -> None:
    with pytest.raises(TargetError, match=why):
        parse_port_set(text)


@pytest.mark.parametrize(
    ("text", "guess"), [("htps", "https"), ("U:domian", "domain"), ("T:mysq", "mysql")]
)
def test_a_name_that_was_mistyped_gets_the_right_one_suggested(text: str, guess: str) -> None:
    with pytest.raises(TargetError, match=rf"service; did you mean {guess}\?$"):
        parse_port_set(text)


@pytest.mark.parametrize(
    ("ports", "tcp", "udp"),
    [
        (22, [22], [22]),
        ([80, 22], [22, 80], [22, 80]),
        ((22, "U:53,161", 80, "8000-8001"), [22, 80, 8000, 8001], [22, 53, 80, 161, 8000, 8001]),
        (range(1, 4), [1, 2, 3], [1, 2, 3]),
        ({"domain"}, [53], [53]),
        (iter([0, 65535]), [0, 65535], [0, 65535]),
    ],
)
def test_numbers_and_texts_may_stand_for_ports_in_any_mixture(
    ports: int | Iterable[int | str], tcp: list[int], udp: list[int]
) -> None:
    found = parse_port_set(ports)
    assert (list(found.tcp), list(found.udp)) == (tcp, udp)


def test_ports_without_a_prefix_are_for_the_protocols_that_are_meant() -> None:
    found = parse_port_set([22, "T:80", "53"], protocols=("udp",))
    assert (found.tcp, found.udp) == ((80,), (22, 53))
    assert found.named == {"tcp"}


@pytest.mark.parametrize("ports", [[], (), ""])
def test_no_port_at_all_is_an_error(ports: str | list[int]) -> None:
    with pytest.raises(TargetError, match=r"no port is named|a port is missing"):
        parse_port_set(ports)


@pytest.mark.parametrize("ports", [-1, 65536, [22, 70000]])
def test_a_number_that_is_no_port_is_an_error_that_repeats_it(ports: int | list[int]) -> None:
    with pytest.raises(TargetError, match=r"from 0 to 65535, not (-1|65536|70000)"):
        parse_port_set(ports)


@pytest.mark.parametrize("ports", [22.0, [True], None, b"22", [b"22"], [[22]], object()])
def test_what_is_neither_text_nor_a_number_is_an_error_of_type(ports: Any) -> None:
    with pytest.raises(TypeError, match="not "):
        parse_port_set(ports)


@pytest.mark.parametrize(("protocol", "least"), [("tcp", 1000), ("udp", 200)])
def test_the_list_has_enough_ports_each_of_them_once(protocol: Protocol, least: int) -> None:
    listed = list(frequent_ports(protocol))
    ports = [port for port, _ in listed]
    assert len(ports) == len(set(ports)) >= least
    assert all(0 < port < 65536 and name for port, name in listed)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_the_list_says_where_it_comes_from_in_lines_that_fit(protocol: Protocol) -> None:
    path = Path(sockwright.scan.targets.ports.__file__).with_name(f"frequent_{protocol}.txt")
    lines = path.read_text(encoding="ascii").splitlines()
    assert all(len(line) <= 100 for line in lines)
    assert "IANA registry" in " ".join(lines[:10])


def test_the_most_frequent_ports_come_first_and_sorted() -> None:
    assert top_ports(5, "tcp") == (21, 22, 25, 80, 443)
    assert 53 in top_ports(3, "udp")
    assert len(top_ports(1000, "tcp")) == 1000
    assert set(top_ports(100, "tcp")) < set(top_ports(101, "tcp"))


@pytest.mark.parametrize("count", [0, -1, 5000])
def test_more_than_the_list_has_is_an_error(count: int) -> None:
    with pytest.raises(TargetError, match="1 to "):
        top_ports(count, "tcp")


def test_the_first_ports_have_one_of_each_subject_and_the_rest_go_by_subject() -> None:
    subjects: list[list[str]] = [[]]
    path = Path(sockwright.scan.targets.ports.__file__).with_name("frequent_tcp.txt")
    for line in path.read_text(encoding="ascii").splitlines():
        if line and not line.startswith("#"):
            subjects[-1] += line.split()
        elif subjects[-1]:
            subjects.append([])
    subjects = [words for words in subjects if words]
    assert len(subjects) > 20
    assert [word for words in subjects for word in words] == [
        f"{port}/{name}" for port, name in frequent_ports("tcp")
    ]
    first = {int(word.partition("/")[0]) for word in subjects[0]}
    assert set(top_ports(len(first), "tcp")) == first
    assert {80, 22, 21, 25, 53, 3389, 3306} <= first
