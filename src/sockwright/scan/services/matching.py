"""What is known of programs by what they say: the tables in `data`, and how they are read.

A file of `data` is TOML, a list of entries:

    [[banner]]
    on = "ssh.software"               # the heading: which text of which protocol
    pattern = 'OpenSSH_(?P<version>[0-9.]+(?:p[0-9]+)?)'
    product = "OpenSSH"
    cpe = "cpe:/a:openbsd:openssh:{version}"
    source = "RFC 4253 section 4.2; measured: Debian openssh-server 1:9.2p1"

`pattern` is matched at the start of the text (which is cut to 512 characters), without case. Groups
fill the ``{names}`` in `product`, `version`, `extra`, `os`, `device`, `hostname`, `cpe`. A group
called ``version`` needs no `version`. All entries under a heading are tried in their order; what an
earlier one said stays, so an entry for the system can follow one for the program. `source` says
where it is from: ``measured`` is a program that was run, anything else a public document.

Rule: no pattern may take more than linear time. A test runs all of them against long texts.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sockwright.scan.services.finding import PRODUCT_KNOWN

if TYPE_CHECKING:
    from sockwright.scan.services.finding import Finding

__all__ = ["MOST_TEXT", "Banner", "banners", "look_up"]

MOST_TEXT: Final = 512
_FIELDS: Final[tuple[str, ...]] = ("product", "version", "extra", "os", "device", "hostname")


class Banner(NamedTuple):
    """An entry of the tables."""

    on: str
    pattern: re.Pattern[str]
    templates: dict[str, str]
    cpe: tuple[str, ...]
    name: str
    source: str


@cache
def banners() -> dict[str, list[Banner]]:
    """Read the tables, by heading."""
    import tomllib
    from importlib.resources import files

    found: dict[str, list[Banner]] = {}
    folder = files("sockwright.scan.services") / "data"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            for entry in tomllib.loads(file.read_text(encoding="utf-8"))["banner"]:
                found.setdefault(entry["on"], []).append(_banner(entry))
    return found


def _banner(entry: dict[str, Any]) -> Banner:
    cpe = entry.get("cpe", ())
    templates: dict[str, str] = {key: str(entry[key]) for key in _FIELDS if key in entry}
    pattern = re.compile(entry["pattern"], re.IGNORECASE)
    if "version" in pattern.groupindex:
        templates.setdefault("version", "{version}")
    return Banner(
        on=entry["on"],
        pattern=pattern,
        templates=templates,
        cpe=(cpe,) if isinstance(cpe, str) else tuple(cpe),
        name=entry.get("name", ""),
        source=entry["source"],
    )


def look_up(finding: Finding, on: str, text: str) -> None:
    """Add to `finding` what the tables know of `text` under the heading `on`."""
    text = text[:MOST_TEXT]
    for banner in banners().get(on, ()):
        match = banner.pattern.match(text)
        if match is None:
            continue
        groups = {name: value or "" for name, value in match.groupdict().items()}
        # A second program in the same text (a module, a language) is not the program.
        if "product" in banner.templates and finding.product:
            continue
        for key, template in banner.templates.items():
            if not getattr(finding, key):
                setattr(finding, key, template.format_map(groups).strip())
        for cpe in banner.cpe:
            finding.add_cpe(cpe.format_map(groups).rstrip(":"))
        if "product" in banner.templates:
            finding.confidence = max(finding.confidence, PRODUCT_KNOWN)
        if banner.name:
            finding.name = banner.name
