"""What nmap measures by the same probes on the same host is what is measured here.

Only what nmap prints is looked at (``nmap -O -d``), and nothing of its database.
"""

from __future__ import annotations

import re

import pytest
from tests.identify.asking import ask_system
from tests.identify.systems import OPEN_PORT, Here

_WORDS = {"sok": "S", "nop": "N", "ws": "W", "mss": "M", "ts": "T"}
_SEQUENCE = {"zero": "Z", "incremental": "I", "random": "RD", "increasing": "RI"}


def _printed(text: str) -> dict[str, dict[str, str]]:
    """Read a fingerprint as nmap prints it: lines of OS:, groups of NAME(KEY=VALUE%...)."""
    joined = "".join(line[3:].strip() for line in text.splitlines() if line.startswith("OS:"))
    return {
        name: dict(pair.split("=", 1) for pair in values.split("%") if "=" in pair)
        for name, values in re.findall(r"([A-Z]\w*)\(([^)]*)\)", joined)
    }


def _kinds(options: str) -> str:
    """Return the kinds of nmap's option string, without the values: M5B4ST11NWA to MSTNW."""
    return re.sub(r"(?<=[MWT])[0-9A-F]+", "", options)


@pytest.mark.needs("namespaces", "nmap")
def test_the_values_of_this_kernel_are_those_of_nmap() -> None:
    with Here() as here:
        command = ["nmap", "-n", "-Pn", "-O", "-d", "--max-os-tries", "1", "-p", f"{OPEN_PORT},9"]
        told = here.prober.run([*command, here.ipv4], timeout=60).stdout
        ours, _ = ask_system(here, here.ipv4, OPEN_PORT)
    theirs = _printed(told)
    assert {"SEQ", "OPS", "WIN", "ECN", "T4", "T7", "U1", "IE"} <= set(theirs), told
    assert int(theirs["WIN"]["W1"], 16) == ours["syn_ack.window"]
    for number in range(1, 7):
        test = "syn_ack.options" if number == 1 else f"seq.options{number}"
        kinds = "".join(_WORDS[word] for word in str(ours[test]).split(","))
        assert _kinds(theirs["OPS"][f"O{number}"]) == kinds
    assert _SEQUENCE[str(ours["id.open"])] == theirs["SEQ"]["TI"]
    assert _SEQUENCE[str(ours["id.closed"])] == theirs["SEQ"]["CI"]
    # Linux adds to them the time between two answers, and nmap says nothing of more than nine.
    assert _SEQUENCE[str(ours["id.icmp"])] == theirs["SEQ"].get("II", "I")
    # nmap counts eighths of a power of two. Each has numbers of its own, which are random: of
    # 40 000 pairs the rates of 155 are more than 2 apart, and those of none more than 4.
    assert abs(int(theirs["SEQ"]["ISR"], 16) / 8 - int(ours["seq.rate"])) <= 4
    for name in ("T2", "T3"):
        assert theirs[name] == {"R": "N"}
        assert ours[f"{name.lower()}.flags"] == "none"
    for name in ("T4", "T5", "T6", "T7"):
        row, group = theirs[name], name.lower()
        assert sorted(row["F"]) == sorted(str(ours[f"{group}.flags"]))
        assert int(row["W"], 16) == ours[f"{group}.window"]
        assert (row["DF"] == "Y") == ours[f"{group}.df"]
        assert int(row.get("T", row.get("TG", "")), 16) == ours[f"{group}.ttl"]
        assert row["S"].replace("Z", "0") == ours[f"{group}.seq"]
        assert row["A"].replace("Z", "0").replace("S+", "S+1") == ours[f"{group}.ack"]
    assert int(theirs["ECN"]["W"], 16) == ours["ecn.window"]
    assert (theirs["ECN"]["CC"] == "Y") == ("E" in str(ours["ecn.flags"]))
    assert int(theirs["U1"]["IPL"], 16) == ours["u1.length"]
    assert {theirs["U1"][key] for key in ("RID", "RIPCK", "RUCK", "RUD")} == {"G"}
    assert (ours["u1.quoted_id"], ours["u1.quoted_checksum"]) == ("same", "good")
    assert (theirs["IE"]["DFI"], ours["ie.df"]) == ("N", "no")
    assert (theirs["IE"]["CD"], ours["ie.code"]) == ("S", "same")
