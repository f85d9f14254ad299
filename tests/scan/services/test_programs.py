"""Real programs are called what they are, and nmap calls them the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.nc.moving import nothing_left_open
from tests.scan.services.peers import (
    HERE,
    free_port,
    identify,
    program,
    run,
    visit_to,
)

from sockwright.nc.tls.certificate import fingerprint, make_certificate
from sockwright.scan.services import identify_services

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.scan.results import Service


@contextmanager
def _sshd(folder: Path) -> Iterator[int]:
    if os.geteuid() == 0:
        # As its package's unit does: sshd wants this folder, and stops without it.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    options = [f"ListenAddress={HERE}", "PidFile=none", "UsePAM=no"]
    words = [word for option in options for word in ("-o", option)]
    command = ["sshd", "-D", "-e", "-f", "/dev/null", "-h", str(key), *words]
    with free_port() as port, program([*command, "-p", str(port)], port, folder):
        yield port


@contextmanager
def _http_server(folder: Path) -> Iterator[int]:
    command = [sys.executable, "-m", "http.server", "--bind", HERE]
    with free_port() as port, program([*command, str(port)], port, folder):
        yield port


def _certificate(folder: Path, name: str = "lab.example.org") -> tuple[Path, bytes]:
    """Write a key and a certificate in one file; give it, and the certificate in DER."""
    pem, der = make_certificate([name])
    path = folder / "tls.pem"
    path.write_bytes(pem)
    return path, der


@contextmanager
def _s_server(folder: Path, *options: str) -> Iterator[int]:
    path, _ = _certificate(folder)
    command = ["openssl", "s_server", "-cert", str(path), "-key", str(path), *options]
    with free_port() as port, program([*command, "-accept", f"{HERE}:{port}"], port, folder):
        yield port


def test_the_http_server_of_python_is_known_with_its_title(tmp_path: Path) -> None:
    with _http_server(tmp_path) as port:
        service = identify(port)
    assert (service.name, service.method, service.tunnel) == ("http", "probed", "")
    assert service.product == "SimpleHTTPServer"
    assert service.confidence >= 0.9
    assert service.extra.startswith(f"Python {sys.version_info.major}.")
    assert service.details["http.title"] == "Directory listing for /"
    assert service.details["http.status"] == "200 OK"


@pytest.mark.needs("sshd", "ssh-keygen")
def test_sshd_tells_version_system_and_algorithms(tmp_path: Path) -> None:
    with _sshd(tmp_path) as port:
        service = identify(port)
    assert (service.name, service.product) == ("ssh", "OpenSSH")
    assert service.confidence >= 0.9
    assert re.match(r"[0-9]+\.[0-9]+p[0-9]+$", service.version)
    assert f"cpe:/a:openbsd:openssh:{service.version}" in service.cpe
    assert service.banner.startswith("SSH-2.0-OpenSSH")
    assert service.details["ssh.host_keys"] == "ssh-ed25519"
    assert "curve25519-sha256" in service.details["ssh.kex"]
    if "Debian" in service.banner:
        assert service.os.startswith("Debian")


@pytest.mark.needs("openssl")
def test_tls_tells_versions_certificate_and_what_speaks_inside(tmp_path: Path) -> None:
    with _s_server(tmp_path, "-www", "-tls1_2") as port:
        service = identify(port)
    details = service.details
    assert (service.name, service.tunnel) == ("http", "tls")
    assert service.product == "OpenSSL s_server"
    assert details["tls.versions"] == "TLS 1.2"
    assert details["tls.subject"] == "CN=lab.example.org"
    assert details["tls.issuer"] == details["tls.subject"]
    assert "lab.example.org" in details["tls.names"]
    assert details["tls.verified"].startswith("no: self-signed")
    assert re.match(r"20\d\d-\d\d-\d\dT", details["tls.not_after"])
    pem = (tmp_path / "tls.pem").read_text()
    import ssl

    certificate = pem[pem.index("-----BEGIN CERTIFICATE") :]
    assert details["tls.fingerprint"] == fingerprint(ssl.PEM_cert_to_DER_cert(certificate))


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    ("options", "versions"),
    [
        (("-tls1_3",), "TLS 1.3"),
        (("-no_tls1_3",), "TLS 1.0, TLS 1.1, TLS 1.2"),
    ],
)
def test_each_version_of_tls_that_is_accepted_is_told(
    tmp_path: Path, options: tuple[str, ...], versions: str
) -> None:
    weak = ("-cipher", "ALL:@SECLEVEL=0", "-min_protocol", "TLSv1") if "1.0" in versions else ()
    with _s_server(tmp_path, "-www", *options, *weak) as port:
        assert identify(port).details["tls.versions"] == versions


@pytest.mark.needs("openssl")
def test_tls_with_a_program_inside_that_only_closes_says_that_nothing_is_known(
    tmp_path: Path,
) -> None:
    with _s_server(tmp_path, "-quiet") as port:
        service = identify(port, seconds=6.0)
    assert (service.name, service.tunnel) == ("unknown", "tls")
    assert service.confidence <= 0.5
    assert "tls.fingerprint" in service.details


@pytest.mark.needs("openssl")
def test_tls_without_a_certificate_is_not_said_to_be_verified(tmp_path: Path) -> None:
    from sockwright.scan.services.finding import Finding
    from sockwright.scan.services.protocols.tls import _certificate

    finding = Finding("tls")
    with _s_server(tmp_path, "-www", "-tls1_2", "-cipher", "ADH:@SECLEVEL=0", "-nocert") as port:
        run(_certificate(visit_to(port), finding))
    assert finding.details["tls.cipher"].startswith("ADH-")
    assert finding.details["tls.verified"] == "no: no certificate"
    assert "tls.fingerprint" not in finding.details


@pytest.mark.needs("openssl")
def test_a_server_that_wants_a_certificate_of_its_clients_says_so(tmp_path: Path) -> None:
    with _s_server(tmp_path, "-www", "-Verify", "1", "-tls1_3") as port:
        service = identify(port)
    assert service.tunnel == "tls"
    assert service.details["tls.inside"] == "a certificate of the client is wanted"


@pytest.mark.needs("redis-server")
def test_redis_is_known_with_and_without_a_password(tmp_path: Path) -> None:
    def command(port: int, *extra: str) -> list[str]:
        words = ["redis-server", "--bind", HERE, "--port", str(port), "--save", "", "--dir", "."]
        return [*words, *extra]

    with (
        free_port() as open_port,
        free_port() as closed_port,
        program(command(open_port), open_port, tmp_path),
        program(command(closed_port, "--requirepass", "secret"), closed_port, tmp_path),
    ):
        found = identify_services((HERE, port, "tcp") for port in (open_port, closed_port))
        services = {key[1]: service for key, service in found}
    for service in services.values():
        assert (service.name, service.product) == ("redis", "Redis key-value store")
    assert re.match(r"[0-9.]+$", services[open_port].version)
    assert services[open_port].os == "Linux"
    assert services[closed_port].extra == "a password is needed"
    assert not services[closed_port].version


@pytest.mark.needs("memcached")
def test_memcached_is_known_over_tcp_and_udp(tmp_path: Path) -> None:
    command = ["memcached", "-l", HERE, "-U", "0"]
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with free_port() as port, program([*command, *user, "-p", str(port)], port, tmp_path):
        service = identify(port)
    assert (service.name, service.product) == ("memcached", "Memcached")
    assert service.cpe == (f"cpe:/a:memcached:memcached:{service.version}",)


@pytest.mark.needs("nginx")
def test_nginx_is_known_in_the_clear_and_inside_tls(tmp_path: Path) -> None:
    path, _ = _certificate(tmp_path)
    # Open to the users that nginx runs its workers as: it is one process here.
    places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    temporary = "".join(f"{place}_temp_path {tmp_path}/{place};" for place in places)
    with free_port() as clear, free_port() as inside:
        (tmp_path / "conf").write_text(
            f"daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/errors;"
            f"events {{}} http {{ access_log off; {temporary}"
            f"server {{ listen {HERE}:{clear}; root {tmp_path}; }}"
            f"server {{ listen {HERE}:{inside} ssl http2; root {tmp_path};"
            f"ssl_certificate {path}; ssl_certificate_key {path}; }} }}"
        )
        with program(["nginx", "-c", str(tmp_path / "conf")], clear, tmp_path):
            plain, secret = identify(clear), identify(inside)
    assert (plain.name, plain.product, plain.tunnel) == ("http", "nginx", "")
    assert (secret.name, secret.product, secret.tunnel) == ("http", "nginx", "tls")
    assert plain.version == secret.version != ""
    assert secret.details["tls.alpn"] == "h2"
    assert secret.hostname == "lab.example.org"


@pytest.mark.needs("vsftpd", "root")
def test_vsftpd_is_known_with_its_features(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "conf").write_text(
        f"listen=YES\nlisten_address={HERE}\nbackground=NO\nlocal_enable=YES\n"
        f"anonymous_enable=NO\nsecure_chroot_dir={tmp_path}/empty\n"
    )
    command = ["vsftpd", str(tmp_path / "conf")]
    with free_port() as port, program([*command, f"-olisten_port={port}"], port, tmp_path):
        service = identify(port)
    assert (service.name, service.product) == ("ftp", "vsftpd")
    assert re.match(r"3\.[0-9.]+$", service.version)
    assert "PASV" in service.details["ftp.features"]


@pytest.mark.needs("dnsmasq")
def test_dnsmasq_tells_its_version(tmp_path: Path) -> None:
    command = ["dnsmasq", "-k", "-C", "/dev/null", "-a", HERE, "--no-hosts"]
    command += ["--bind-interfaces", "--no-resolv", "--pid-file"]
    with free_port() as port, program([*command, "-p", str(port)], port, tmp_path):
        service = identify(port, "udp")
    assert (service.name, service.product) == ("domain", "dnsmasq")
    assert re.match(r"2\.[0-9]+$", service.version)


@pytest.mark.needs("mosquitto")
def test_mosquitto_tells_its_version(tmp_path: Path) -> None:
    with free_port() as port:
        (tmp_path / "conf").write_text(f"listener {port} {HERE}\nallow_anonymous true\n")
        with program(["mosquitto", "-c", str(tmp_path / "conf")], port, tmp_path):
            service = identify(port)
    assert (service.name, service.product) == ("mqtt", "Mosquitto")
    assert re.match(r"[0-9.]+$", service.version)


@pytest.mark.needs("rsync")
def test_rsync_tells_its_protocol(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text(f"address = {HERE}\nuse chroot = no\n")
    command = ["rsync", "--daemon", "--no-detach", f"--config={tmp_path}/conf"]
    with free_port() as port, program([*command, f"--port={port}"], port, tmp_path):
        service = identify(port)
    assert (service.name, service.product) == ("rsync", "rsync")
    assert float(service.details["rsync.protocol"]) >= 30


@pytest.mark.needs("nmap", "sshd", "ssh-keygen")
def test_nmap_says_the_same(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("ssh", "http")]
    for folder in folders:
        folder.mkdir()
    with _sshd(folders[0]) as ssh, _http_server(folders[1]) as http:
        ports = [ssh, http]
        with nothing_left_open():
            found = identify_services((HERE, port, "tcp") for port in ports)
            ours = {key[1]: service for key, service in found}
        theirs = _nmap(ports)
    assert ours.keys() == theirs.keys() == set(ports)
    for port in ports:
        mine, (name, product, version) = ours[port], theirs[port]
        # nmap adds the package: "9.2p1 Debian 2+deb12u10".
        assert (mine.name, mine.product, mine.version) == (name, product, version.split()[0])


def _nmap(ports: list[int]) -> dict[int, tuple[str, str, str]]:
    command = ["nmap", "-sV", "-Pn", "-n", "-oX", "-", "-p", ",".join(map(str, ports)), HERE]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    found = {}
    for port in ET.fromstring(text).iter("port"):  # its own output, of hosts of ours
        service = port.find("service")
        assert service is not None
        words = [service.get(key, "") for key in ("name", "product", "version")]
        found[int(port.get("portid", "0"))] = (words[0], words[1], words[2])
    return found


def test_a_row_says_the_method_and_how_sure_it_is(tmp_path: Path) -> None:
    with _http_server(tmp_path) as port:
        service: Service = identify(port)
    assert 0.9 <= service.confidence <= 1
    assert service.method == "probed"
