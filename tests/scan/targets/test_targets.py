"""Text to addresses: what is written, excluded, refused, there twice, and how little it takes."""

from __future__ import annotations

import ipaddress
import random
import re
import socket
import tracemalloc

import pytest

from sockwright.errors import TargetError
from sockwright.lab import Lab
from sockwright.scan.targets import ASK_ABOVE, Target, parse_targets
from sockwright.scan.targets.owners import Owned, apart
from sockwright.scan.targets.target_list import read_target_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

_NAMES: dict[str, list[tuple[int, str]]] = {
    "one.example": [(socket.AF_INET6, "2001:db8::1"), (socket.AF_INET, "192.0.2.1")],
    "six.example": [(socket.AF_INET6, "2001:db8::6")],
}


def resolve(name: str, family: int) -> list[tuple[int, str]]:
    """Look a name up where no server is asked."""
    found = [one for one in _NAMES.get(name, []) if family in {socket.AF_UNSPEC, one[0]}]
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return found


def addresses(*texts: str, exclude: tuple[str, ...] = ()) -> list[str]:
    targets = parse_targets(texts, exclude=exclude, resolve=resolve)
    listed = [target.host for target in targets]
    assert len(targets) == len(listed)
    assert [targets[at].host for at in range(len(targets))] == listed
    assert [
        targets.index(targets.packed(at), target.zone) for at, target in enumerate(targets)
    ] == list(range(len(targets)))
    return listed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", ["192.0.2.1"]),
        ("192.0.2.5/30", ["192.0.2.4", "192.0.2.5", "192.0.2.6", "192.0.2.7"]),
        ("10.0.0.1-3", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        ("10.0.0.3,1", ["10.0.0.1", "10.0.0.3"]),
        ("10.0.0,2.1-2", ["10.0.0.1", "10.0.0.2", "10.0.2.1", "10.0.2.2"]),
        ("10.0.0.254-", ["10.0.0.254", "10.0.0.255"]),
        ("10.0.0.-1", ["10.0.0.0", "10.0.0.1"]),
        ("10.0.0.255-10.0.1.1", ["10.0.0.255", "10.0.1.0", "10.0.1.1"]),
        ("2001:db8::/127", ["2001:db8::", "2001:db8::1"]),
        ("2001:db8::9-2001:db8::a", ["2001:db8::9", "2001:db8::a"]),
        ("[2001:db8::1]", ["2001:db8::1"]),
        ("::ffff:192.0.2.1", ["192.0.2.1"]),
        ("192.0.2.1,192.0.2.2 192.0.2.3", ["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
        ("one.example", ["192.0.2.1"]),
        ("six.example", ["2001:db8::6"]),
        ("one.example/31", ["192.0.2.0", "192.0.2.1"]),
    ],
)
def test_each_form_stands_for_its_addresses(text: str, expected: list[str]) -> None:
    assert addresses(text) == expected


def test_a_star_is_every_number() -> None:
    found = addresses("10.0.*.1")
    assert len(found) == 256
    assert (found[0], found[-1]) == ("10.0.0.1", "10.0.255.1")
    assert addresses("10.1.2.*") == addresses("10.1.2.0/24")


@pytest.mark.parametrize("seed", range(20))
def test_networks_and_exclusions_agree_with_ipaddress(seed: int) -> None:
    choose = random.Random(seed)

    def network() -> str:
        return f"10.0.{choose.randrange(8)}.{choose.randrange(256)}/{choose.randrange(22, 33)}"

    wanted = [network() for _ in range(choose.randrange(1, 6))]
    without = [network() for _ in range(choose.randrange(4))]
    kept: dict[str, None] = {}
    out = {str(one) for text in without for one in ipaddress.ip_network(text, strict=False)}
    for text in wanted:
        for one in ipaddress.ip_network(text, strict=False):
            if str(one) not in out:
                kept[str(one)] = None
    assert addresses(*wanted, exclude=tuple(without)) == list(kept)


@pytest.mark.parametrize("seed", range(20))
def test_ranges_come_apart_as_if_each_number_were_asked(seed: int) -> None:
    choose = random.Random(seed)
    ranges = []
    for owner in range(choose.randrange(1, 12)):
        first = choose.randrange(60)
        ranges.append(Owned(owner, first, first + choose.randrange(15)))
    choose.shuffle(ranges)
    expected = {}
    for one in sorted(ranges, reverse=True):
        expected.update(dict.fromkeys(range(one.first, one.last + 1), one.owner))
    found = apart(ranges)
    got = [(number, one.owner) for one in found for number in range(one.first, one.last + 1)]
    assert len(got) == len(expected)
    assert dict(got) == expected
    assert found == sorted(found)


def test_a_name_has_its_first_address_of_ipv4_and_the_others_are_told() -> None:
    targets = parse_targets(["one.example"], resolve=resolve)
    assert list(targets) == [Target("192.0.2.1", socket.AF_INET, "", "one.example")]
    assert targets.not_scanned == {"one.example": ("2001:db8::1",)}
    both = parse_targets(["one.example"], resolve=resolve, all_addresses=True)
    assert [target.host for target in both] == ["2001:db8::1", "192.0.2.1"]
    assert both.not_scanned == {}
    six = parse_targets(["one.example 192.0.2.9"], resolve=resolve, family=socket.AF_INET6)
    assert [target.host for target in six] == ["2001:db8::1"]
    assert six.refused == [("192.0.2.9", "is IPv4, which is not asked")]


def test_a_host_of_two_texts_is_scanned_once_under_the_first() -> None:
    assert addresses("10.0.0.2 10.0.0.0/30 10.0.0.1") == [
        "10.0.0.2",
        "10.0.0.0",
        "10.0.0.1",
        "10.0.0.3",
    ]
    targets = parse_targets(["192.0.2.1 one.example"], resolve=resolve)
    assert [target.name for target in targets] == [""]


@pytest.mark.parametrize(
    ("text", "left", "why"),
    [
        ("224.0.0.251", [], "is multicast (RFC 5771)"),
        ("255.255.255.255", [], "is broadcast (RFC 919)"),
        ("0.0.0.0", [], "0.0.0.0/8"),
        ("240.0.0.1", [], "is reserved"),
        ("::", [], "is no address of a host"),
        ("ff02::1", [], "is multicast (RFC 4291"),
        ("fe80::1", [], "is link-local: say on which interface"),
        ("fe80::1%nowhere", [], "names an interface that is not there: 'nowhere'"),
        ("nobody.example", [], "does not resolve: Name or service not known"),
    ],
)
def test_what_no_host_can_have_is_refused_with_the_reason(
    text: str, left: list[str], why: str
) -> None:
    targets = parse_targets([text], resolve=resolve)
    assert [target.host for target in targets] == left
    ((told, sentence),) = targets.refused
    assert told == text
    assert why in f"{told}/8 {sentence}"


@pytest.mark.parametrize(
    ("text", "left", "told"),
    [
        ("0.255.255.255-1.0.0.0", ["1.0.0.0"], "0.0.0.0/8 in 0.255.255.255-1.0.0.0 means this"),
        ("223.255.255.255-224.0.0.0", ["223.255.255.255"], "224.0.0.0/4 in 223.255.255.255-224"),
        ("224.0.0.0/30", [], "224.0.0.0/30 is multicast (RFC 5771)"),
    ],
)
def test_what_is_refused_of_a_range_is_said_in_one_sentence(
    text: str, left: list[str], told: str
) -> None:
    targets = parse_targets([text])
    assert [target.host for target in targets] == left
    (sentence,) = (" ".join(halves) for halves in targets.refused)
    assert sentence.startswith(told)


def test_the_rest_of_a_network_is_scanned_where_a_part_is_refused() -> None:
    targets = parse_targets(["0.0.0.0/0"], broadcasts=False)
    assert len(targets) == (1 << 32) - (1 << 24) - (1 << 29)
    assert targets[0].address == "1.0.0.0"
    assert targets[-1].address == "223.255.255.255"
    assert ("224.0.0.0/4 in 0.0.0.0/0", "is multicast (RFC 5771)") in targets.refused
    assert all(text.endswith(" in 0.0.0.0/0") for text, _ in targets.refused)


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0",
        "10.0.0.256",
        "10.0.0.3-1",
        "10..0.1",
        "10.0.0.1/33",
        "10.0.0.1/x",
        "10.0.0.1/",
        "1.2.3.4-1.2.3.3",
        "1.2.3.4-1.2.3.9/30",
        "2001:db8::/64",
        "2001:db8::/129",
        "2001:db8:::1",
        "fe80::1%",
        "*.*.*.1,3",
        "-rf",
        "a b/c/d",
        "http://host/",
        "host:80",
        "010.0.0.1",
        "10.0.0.01-5",
        "10.0.0.01/24",
        "0x7f.1",
        "0x7f000001",
    ],
)
def test_what_is_not_well_formed_is_an_error_that_repeats_it(text: str) -> None:
    with pytest.raises(TargetError) as info:
        parse_targets([text], resolve=resolve)
    assert any(word.rstrip(",") in str(info.value) for word in text.split())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("010.0.0.1", "'010' is octal to inet_aton(3) and decimal to others"),
        ("0x7f.1", "is 127.0.0.1 to inet_aton(3) and no name"),
        ("fd00::/95", "which takes 2 hours at"),
        ("fd00::/64", "which takes 584,542 years at"),
    ],
)
def test_the_reason_is_told(text: str, why: str) -> None:
    with pytest.raises(TargetError, match=re.escape(why)):
        parse_targets([text], resolve=resolve)


@pytest.mark.parametrize("text", ["\0" * 1_000_000, "1" * 5000, "x" * 300, "10.0.0." + "1," * 2000])
def test_of_a_long_word_an_error_repeats_only_the_beginning(text: str) -> None:
    with pytest.raises(TargetError) as info:
        parse_targets([text], resolve=resolve)
    assert len(str(info.value)) < 500


def test_a_name_that_is_excluded_has_to_resolve() -> None:
    assert addresses("192.0.2.0/31", exclude=("one.example",)) == ["192.0.2.0"]
    with pytest.raises(TargetError, match="excluded, but it does not resolve"):
        parse_targets(["192.0.2.0/30"], exclude=["nobody.example"], resolve=resolve)


def test_an_exclusion_holds_for_the_mapped_form_and_for_every_zone() -> None:
    assert addresses("192.0.2.1", exclude=("::ffff:192.0.2.1",)) == []
    assert addresses("::ffff:192.0.2.1", exclude=("192.0.2.0/24",)) == []
    assert addresses("fe80::1%lo", exclude=("fe80::/96",)) == []
    assert addresses("fe80::1%lo", exclude=("fe80::1%lo",)) == []
    assert addresses("fe80::1%lo", exclude=("fe80::2%lo",)) == ["fe80::1%lo"]
    assert addresses("fe80::1%1") == ["fe80::1%lo"]


def test_ten_slash_eight_costs_no_memory() -> None:
    tracemalloc.start()
    targets = parse_targets(["10.0.0.0/8"], exclude=["10.1.0.0/16"], broadcasts=False)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100_000
    assert len(targets) == (1 << 24) - (1 << 16)
    assert targets.many
    assert targets[65536].address == "10.2.0.0"
    assert "10.255.1.2" in targets
    assert "10.1.2.3" not in targets
    assert "11.0.0.0" not in targets
    assert targets[2] in targets
    assert [target.address for target in targets[1:3]] == ["10.0.0.1", "10.0.0.2"]
    with pytest.raises(IndexError):
        targets[len(targets)]


def test_a_question_is_due_above_four_thousand_hosts() -> None:
    assert not parse_targets(["10.0.0.0/20"]).many
    assert parse_targets(["10.0.0.0/20 10.1.0.0"]).many
    assert len(parse_targets(["10.0.0.0/20"])) == ASK_ABOVE


def test_a_file_of_targets_has_comments_and_any_white_space(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("10.0.0.1 10.0.0.2 # mine\n\n#10.0.0.9\n\t10.0.0.3-4\r\n")
    assert read_target_list(str(path)) == ["10.0.0.1", "10.0.0.2", "10.0.0.3-4"]
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(TargetError, match="no list of targets"):
        read_target_list(str(path))


def test_a_list_is_the_same_wherever_its_pieces_end(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text(" ".join(["10.0.0.1"] * 5000) + " # " + "10.0.0.9 " * 5000 + "\n10.0.0.2")
    assert read_target_list(str(path)) == ["10.0.0.1"] * 5000 + ["10.0.0.2"]


def test_a_file_without_an_end_is_no_list_and_takes_no_memory() -> None:
    tracemalloc.start()
    with pytest.raises(
        TargetError, match="/dev/zero is no list of targets: it has a word of more than"
    ):
        read_target_list("/dev/zero")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000


def test_more_words_than_anybody_means_are_no_list(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("1 " * ((1 << 20) + 1))
    with pytest.raises(TargetError, match="more than 1048576 words"):
        read_target_list(str(path))


def test_a_long_list_of_single_hosts_is_read_in_moments() -> None:
    choose = random.Random(7)
    words = [socket.inet_ntoa((choose.randrange(1 << 28) + (1 << 24)).to_bytes(4, "big"))
             for _ in range(20_000)]  # fmt: skip
    targets = parse_targets(words)
    expected = [word for word in dict.fromkeys(words) if not word.startswith("127.")]
    assert [one.address for one in targets if not one.address.startswith("127.")] == expected


def _in_a_network_of_its_own(
    interface: str,
) -> tuple[list[str], list[list[tuple[str, str]]], list[str]]:
    targets = parse_targets(["10.0.0.248/29"])
    named = parse_targets(["10.0.0.255"])
    both = parse_targets(["10.0.0.0/24", "10.0.0.255"])
    index = socket.if_nametoindex(interface)
    linked = parse_targets([f"fe80::1%{interface}", f"fe80::2%{index}"])
    return (
        [target.host for target in targets],
        [targets.refused, named.refused, both.refused],
        [target.host for target in linked],
    )


@pytest.mark.needs("namespaces")
def test_broadcasts_of_own_networks_are_left_out_and_said_where_they_were_named() -> None:
    with Lab() as lab:
        host, _ = lab.hosts("a", "b")
        found, refused, linked = host.call(_in_a_network_of_its_own, host.interface)
    assert found == [f"10.0.0.{number}" for number in range(248, 255)]
    told = ("10.0.0.255", f"is the broadcast address of the network on {host.interface}")
    assert refused == [[], [told], []]
    assert linked == [f"fe80::1%{host.interface}", f"fe80::2%{host.interface}"]
