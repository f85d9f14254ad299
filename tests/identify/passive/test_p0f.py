"""Signatures of a user's p0f.fp, in the form of p0f's README; the ones here are made up."""

from __future__ import annotations

import pytest
from tests.identify.passive.segments import linux, opening, segment

from sockwright.identify.matching import match
from sockwright.identify.passive.p0f import read_p0f
from sockwright.identify.signature import SignatureError

_TEXT = """
; a comment
classes = win,unix,other

[mtu]
label = Ethernet
sig   = 1500

[tcp:request]
label = s:unix:Madeup:1.x
sys   = @unix
sig   = *:64:0:*:mss*44,7:mss,sok,ts,nop,ws:df,id+:0
sig   = 4:64:0:1460:5840,*:mss,nop,?30,eol+1:df,pushf+,bad:+

[tcp:response]
label = g:!:Box:
sig   = 4:255-:0:*:%8192,0:mss:ack-:0

[http:request]
ua_os = Linux
label = s:!:Wget:
sig   = 1:User-Agent,Accept=[*/*],Host::Wget
"""


def test_both_sections_of_tcp_are_read() -> None:
    first, second, third = read_p0f(_TEXT, "mine.fp")
    assert (first.name, first.family) == ("Madeup 1.x", "Madeup")
    assert {name: str(value) for name, value in first.tests.items()} == {
        "syn.ttl": "64",
        "syn.ip_options": "0",
        "syn.window": "mss*44",
        "syn.options": "mss,sok,ts,nop,ws",
        "syn.payload": "no",
        "syn.df": "yes",
        "syn.scale": "7",
        "syn.quirks": "id+ or none or flow",
    }
    assert second.tests["syn.options"].usual == ("mss,nop,mptcp,eol+1",)
    assert second.tests["syn.quirks"].usual == ("push,bad",)
    assert second.tests["syn.payload"].usual == (True,)
    assert third.tests["syn_ack.ttl"].usual == (255,)
    assert "syn_ack.window" not in third.tests
    assert third.provenance.source == "p0f signatures in mine.fp"


@pytest.mark.parametrize("src", ["192.0.2.1", "2001:db8::1"])
def test_a_signature_for_both_versions_agrees_with_both(src: str) -> None:
    dst = "2001:db8::2" if ":" in src else "192.0.2.2"
    traits = opening(segment(linux(), src=src, dst=dst)).traits()
    found = match(traits, read_p0f(_TEXT, "mine.fp"))
    assert found.best == "Madeup 1.x"
    assert not found.candidates[0].failed


@pytest.mark.parametrize(
    "line", ["sig = 4:64:0", "sig = 4:sixty:0:*:*,0:mss:df:0", "sig = 4:64:0:*:many,0:mss:df:0"]
)
def test_what_is_wrong_is_told_with_its_line(line: str) -> None:
    with pytest.raises(SignatureError, match=r"mine\.fp: line 3: .*"):
        read_p0f(f"[tcp:request]\nlabel = s:unix:A:1\n{line}\n", "mine.fp")
