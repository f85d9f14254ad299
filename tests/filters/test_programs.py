"""Programs are those of libpcap without its optimiser, word by word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.filters.expressions import EXPRESSIONS
from tests.filters.peer import NAMES

from sockwright.filters import FilterError, compile_filter

if TYPE_CHECKING:
    from tests.filters.peer import Peer

pytestmark = pytest.mark.needs("tcpdump")

_NULL = 0


def _ours(expression: str, link_type: int) -> str | None:
    try:
        lines = compile_filter(expression, link_type).disassemble()
    except FilterError:
        return None
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("link_type", sorted(NAMES.keys() - {_NULL}), ids=NAMES.get)
def test_programs_and_refusals_are_those_of_tcpdump(link_type: int, peer: Peer) -> None:
    if not peer.known:
        pytest.skip("programs are compared with those of libpcap 1.10")
    # Every fourth for others than Ethernet: they differ in offsets and in how a type is told.
    some = EXPRESSIONS if link_type == 1 else EXPRESSIONS[link_type % 4 :: 4]
    differ = [one for one in some if _ours(one, link_type) != peer.text(one, link_type)]
    assert not differ


def test_bsd_loopback_is_taken_in_both_byte_orders(peer: Peer) -> None:
    # tcpdump asks the file for its order; a program serves both. Refused is the same.
    for one in EXPRESSIONS[::4]:
        assert (_ours(one, _NULL) is None) == (peer.text(one, _NULL) is None), one
    six = compile_filter("ip6", _NULL)
    for family in (24, 28, 30):
        assert six.matches(family.to_bytes(4, "little"))
        assert six.matches(family.to_bytes(4, "big"))


@pytest.mark.parametrize("form", ["dd", "ddd"])
def test_other_forms_are_those_of_tcpdump(form: str, peer: Peer) -> None:
    expression = "vlan 5 and (tcp[13] & 2 != 0 or ip protochain 6)"
    ours = compile_filter(expression).disassemble(form)  # type: ignore[arg-type]
    assert "".join(f"{line}\n" for line in ours) == peer.text(expression, 1, f"-{form}")


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("len / ip[0] = 1", "libpcap takes the index 0 for the divisor"),
        ("len % ip[0] = 1", "the same"),
        ("len << ip[40] = 1", "it takes the index for the distance"),
        ("port ((80 or 443) or 22)", "its grammar wants no parentheses first inside parentheses"),
    ],
)
def test_what_libpcap_refuses_by_mistake_is_taken(expression: str, why: str, peer: Peer) -> None:
    assert peer.text(expression, 1) is None, why
    assert compile_filter(expression).instructions


@pytest.mark.parametrize("expression", ["byte 3 & 4", "byte 3 | 4"])
def test_what_libpcap_miscompiles_is_refused(expression: str, peer: Peer) -> None:
    text = peer.text(expression, 1)
    assert text is not None
    assert "ld" not in text  # it forgets to load the byte
    with pytest.raises(FilterError, match=r"link\[3\]"):
        compile_filter(expression)


def test_of_strange_link_types_octets_and_length_can_be_read() -> None:
    assert compile_filter("len > 10 and link[0] = 8", 127).matches(bytes([8]) * 11)
    with pytest.raises(FilterError, match="link type 127"):
        compile_filter("ip", 127)
