"""Systems to ask: each is a host that answers in a namespace of its own, with a prober beside it.

- `Here`: this kernel, as a host of the lab.
- `DebianKernel`: a kernel of a Debian package under QEMU, joined to the namespace by a TAP device.
  Its initramfs is busybox and the driver of the network card: no file of this machine is shared.
  No acceleration is asked for, since few machines that are themselves virtual have one.
- `LwIP`: the lwIP stack of Debian's package, in a program of forty lines (lwip_host.c).
- `Slirp`: libslirp, the stack that stands between virtual machines and the network.

A system listens on TCP port 80 over IPv4 and IPv6; all other ports are closed.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sockwright.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from sockwright.lab import Host, Process

__all__ = [
    "OPEN_PORT",
    "ROOT",
    "DebianKernel",
    "Here",
    "LwIP",
    "PyTCP",
    "Slirp",
    "System",
    "kernel_package",
]

ROOT: Final = Path(__file__).resolve().parents[2]
OPEN_PORT: Final = 80
_IPV4, _IPV6 = "10.79.0.2", "fd79::2"
_BOOT_SECONDS = 90.0


class System:
    """One system in a lab; `prober` is the host that can reach it at `ipv4` and `ipv6`."""

    name = ""
    source = ""
    version = ""
    prober: Host
    ipv4 = _IPV4
    ipv6: str | None = _IPV6
    way_in: list[str] | None = None
    """What runs a command where the system can be reached, where that is not the prober itself."""
    of_its_age: tuple[str, ...] = ()
    """Tests whose values change with how long the system has run, and tell nothing of others."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        lab = self._open.enter_context(Lab())
        try:
            self.start(lab)
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def start(self, lab: Lab) -> None:
        """Make the prober and the system, and wait until it answers."""
        raise NotImplementedError

    def configure(self, settings: Mapping[str, str]) -> None:
        """Change sysctls; ``mtu`` is that of the system's interface."""
        raise NotImplementedError

    def setting(self, name: str) -> str:
        """Return the value of a setting."""
        raise NotImplementedError

    def stop(self, process: Process) -> None:
        """Have a program ended with the lab, and its pipes closed."""
        self._open.callback(process.wait)
        self._open.callback(process.kill)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                self._open.enter_context(pipe)


def _listen(host: Host) -> contextlib.ExitStack:
    """Listen on the open port of a host; nobody accepts, the backlog is enough."""
    kept = contextlib.ExitStack()
    listener = kept.enter_context(host.socket(socket.AF_INET6, socket.SOCK_STREAM))
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(("::", OPEN_PORT))
    listener.listen(64)
    return kept


class Here(System):
    """The kernel that runs this."""

    name = "Linux"

    def __init__(self) -> None:
        super().__init__()
        release = os.uname().release
        self.version = ".".join(release.split("-")[0].split(".")[:2])
        self.source = f"Linux {release.split('-')[0]}, a host of the lab"

    def start(self, lab: Lab) -> None:
        self.prober, self.host = lab.hosts("prober", "system")
        self.ipv4, self.ipv6 = self.host.ipv4, self.host.ipv6
        self._open.enter_context(_listen(self.host))

    def configure(self, settings: Mapping[str, str]) -> None:
        for name, value in settings.items():
            if name == "mtu":
                link = ["ip", "link", "set", self.host.interface, "mtu", value]
                self.host.run(link, check=True, timeout=10)
            else:
                self.host.set(name, value)

    def setting(self, name: str) -> str:
        command = ["cat", f"/sys/class/net/{self.host.interface}/mtu"]
        if name != "mtu":
            command = ["sysctl", "-n", name]
        return self.host.run(command, check=True, timeout=10).stdout.strip()


# --- a kernel in QEMU -----------------------------------------------------------------------------

_MODULES = ("virtio_pci", "virtio_net", "ipv6")
_INIT = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod $module; done
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad
echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad
ip link set lo up
ip link set eth0 up
ip addr add {_IPV4}/24 dev eth0
ip addr add {_IPV6}/64 dev eth0
httpd -p {OPEN_PORT} -h /proc/net
echo 0 >/proc/sys/kernel/printk
echo READY
exec sh </dev/ttyS0 >/dev/ttyS0 2>&1
"""


def kernel_package(metapackage: str) -> str | None:
    """Return the package of the kernel that a Debian metapackage stands for; None without one."""
    if shutil.which("apt-cache") is None:
        return None
    asked = ["apt-cache", "depends", metapackage]
    told = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60).stdout
    found = [line.partition("Depends: ")[2] for line in told.splitlines() if "Depends: " in line]
    return found[0] if found else None


def _unpacked(package: str) -> Path:
    """Return the folder of a downloaded and unpacked kernel, in build/; done once."""
    folder = ROOT / "build" / "kernels" / package
    if (folder / "initramfs.gz").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    root = folder / "root"
    root.mkdir(parents=True)
    # apt refuses to write where its own user may not; it goes on as root then, and says so.
    download = ["apt-get", "download", "-qq", package]
    subprocess.run(download, cwd=folder, check=True, timeout=300, capture_output=True)
    (archive,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, root], check=True, timeout=300)
    archive.unlink()
    _make_initramfs(folder, root)
    return folder


def _make_initramfs(folder: Path, root: Path) -> None:
    release = next((root / "lib" / "modules").iterdir()).name
    subprocess.run(["depmod", "-b", root, release], check=True, timeout=120)
    ask = ["modprobe", "-d", str(root), "-S", release, "-a", "-D", *_MODULES]
    told = subprocess.run(ask, capture_output=True, text=True, check=False, timeout=60).stdout
    paths = dict.fromkeys(
        line.split()[1] for line in told.splitlines() if line.startswith("insmod ")
    )
    tree = folder / "initramfs"
    for name in ("bin", "proc", "sys", "dev", "modules"):
        (tree / name).mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copy(busybox, tree / "bin" / "busybox")
    for number, path in enumerate(paths, 10):
        target = tree / "modules" / f"{number}-{Path(path).name.removesuffix('.xz')}"
        if path.endswith(".xz"):
            with target.open("wb") as written:
                subprocess.run(["xz", "-dc", path], stdout=written, check=True, timeout=60)
        else:
            shutil.copy(path, target)
    (tree / "init").write_text(_INIT)
    (tree / "init").chmod(0o755)
    pack = "find . | cpio -o -H newc --quiet | gzip -1 >../initramfs.gz"
    subprocess.run(["sh", "-c", pack], cwd=tree, check=True, timeout=60)
    kernel = next((root / "boot").glob("vmlinuz-*"))
    shutil.move(kernel, folder / "vmlinuz")
    shutil.rmtree(root)
    shutil.rmtree(tree)


class DebianKernel(System):
    """A kernel from a Debian package, in QEMU."""

    name = "Linux"

    def __init__(self, package: str) -> None:
        super().__init__()
        self.package = package
        release = package.removeprefix("linux-image-")
        self.version = ".".join(release.split("-")[0].split("+")[0].split(".")[:2])
        self.source = f"Debian's {package}, in QEMU"

    def start(self, lab: Lab) -> None:
        folder = _unpacked(self.package)
        (self.prober,) = lab.hosts("prober")
        _add_tap(self.prober)
        self._machine = self.prober.popen(
            [
                "qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "Nehalem",
                "-smp", "1", "-m", "1024", "-nodefaults", "-display", "none", "-monitor", "none",
                "-serial", "stdio", "-no-reboot",
                "-kernel", folder / "vmlinuz", "-initrd", folder / "initramfs.gz",
                "-append", "console=ttyS0 quiet panic=-1 mitigations=off",
                "-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no,vhost=off",
                "-device", "virtio-net-pci,netdev=net,mac=52:54:00:79:00:02",
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.stop(self._machine)
        self._until("READY")

    def _until(self, word: str) -> str:
        """Read the console until `word` stands there alone on a line."""
        assert self._machine.stdout is not None
        console, end, told = self._machine.stdout.fileno(), time.monotonic() + _BOOT_SECONDS, b""
        while word not in (line.strip() for line in told.decode(errors="replace").splitlines()):
            ready, _, _ = select.select([console], [], [], end - time.monotonic())
            octets = os.read(console, 65536) if ready else b""
            if not octets:
                raise TimeoutError(f"{self.package} does not say {word}: {told[-2000:]!r}")
            told += octets
        return told.decode(errors="replace")

    def configure(self, settings: Mapping[str, str]) -> None:
        for name, value in settings.items():
            file = f"/proc/sys/{name.replace('.', '/')}"
            self._run(f"ip link set eth0 mtu {value}" if name == "mtu" else f"echo {value} >{file}")

    def setting(self, name: str) -> str:
        file = f"/proc/sys/{name.replace('.', '/')}"
        told = self._run(f"cat {'/sys/class/net/eth0/mtu' if name == 'mtu' else file}")
        return told.strip().splitlines()[-2].replace("\t", " ").strip()

    def _run(self, command: str) -> str:
        """Run a command in the machine; return what the console showed."""
        assert self._machine.stdin is not None
        # The word is put together by the shell, so that the echo of the line does not have it.
        self._machine.stdin.write(f"{command}; echo DO''NE\n".encode())
        self._machine.stdin.flush()
        return self._until("DONE")


def _add_tap(host: Host) -> None:
    for command in (
        "ip tuntap add dev tap0 mode tap",
        "ip addr add 10.79.0.1/24 dev tap0",
        "ip -6 addr add fd79::1/64 dev tap0 nodad",
        "ip link set tap0 up",
    ):
        host.run(command.split(), check=True, timeout=10)


# --- a stack in a program -------------------------------------------------------------------------


class LwIP(System):
    """The lwIP stack of Debian's package liblwip0, in a program that is compiled here."""

    name = "lwIP"
    version = "2.1"
    source = "Debian's liblwip0 2.1.3 on a TAP device"
    # tcp_next_iss() adds the ticks since the start of the stack for each connection.
    of_its_age = ("seq.gcd", "seq.rate", "seq.spread")
    ipv6 = None

    def start(self, lab: Lab) -> None:
        program = ROOT / "build" / "lwip_host"
        source = Path(__file__).with_name("lwip_host.c")
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            program.parent.mkdir(exist_ok=True)
            compile_it = [
                "cc",
                "-I/usr/include/lwip",
                "-o",
                str(program),
                str(source),
                "-llwip",
                "-lpthread",
            ]
            subprocess.run(compile_it, check=True, timeout=120)
        (self.prober,) = lab.hosts("prober")
        _add_tap(self.prober)
        process = self.prober.popen(
            [program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PRECONFIGURED_TAPIF": "tap0"},
        )
        self.stop(process)
        assert process.stdout is not None
        if process.stdout.readline().strip() != b"READY":
            raise RuntimeError("lwip_host did not start")

    def configure(self, settings: Mapping[str, str]) -> None:
        raise NotImplementedError("lwIP has no settings but those it was compiled with")


class Slirp(System):
    """libslirp, the stack behind QEMU's user networking, by Debian's package slirp4netns.

    It serves a namespace by a TAP device; its own address there leads to the loopback outside.
    """

    name = "libslirp"
    version = "4.7"
    source = "Debian's slirp4netns 1.2.0 with libslirp 4.7.0"
    ipv4 = "10.0.2.2"
    ipv6 = None

    def start(self, lab: Lab) -> None:
        (self.prober,) = lab.hosts("outside")
        self._open.enter_context(_listen(self.prober))
        held = self.prober.popen(
            ["unshare", "--net", "sh", "-c", "echo $$; exec sleep 600"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        self.stop(held)
        assert held.stdout is not None
        number = held.stdout.readline().decode().strip()
        stack = self.prober.popen(
            ["slirp4netns", "--configure", "--mtu=1500", "--ready-fd=1", number, "tap0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.stop(stack)
        assert stack.stdout is not None
        if not stack.stdout.read(1):
            raise RuntimeError("slirp4netns did not start")
        self.way_in = ["nsenter", "-t", number, "-n"]


_PYTCP = f"""
import sys, threading
from pytcp import TcpIpStack
import pytcp.lib.socket as socket
stack = TcpIpStack(interface="tap0", mac_address="02:00:00:79:00:02",
                   ip4_address="{_IPV4}/24", ip6_address="{_IPV6}/64")
stack.start()
sock = socket.socket(family=socket.AF_INET4, type=socket.SOCK_STREAM)
sock.bind(("{_IPV4}", {OPEN_PORT}))
sock.listen()
print("READY", flush=True)
threading.Event().wait()
"""


class PyTCP(System):
    """PyTCP, a stack written in Python; `interpreter` is that of an environment that has it.

    It is GPL and none of this project's requirements: `pip install PyTCP==2.7.6` elsewhere.
    """

    name = "PyTCP"
    version = "2.7"
    source = "PyTCP 2.7.6 from PyPI"
    ipv6 = None

    def __init__(self, interpreter: str) -> None:
        super().__init__()
        self._interpreter = interpreter

    def start(self, lab: Lab) -> None:
        (self.prober,) = lab.hosts("prober")
        _add_tap(self.prober)
        stack = self.prober.popen(
            [self._interpreter, "-c", _PYTCP],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.stop(stack)
        assert stack.stdout is not None
        if not any(b"READY" in line for line in stack.stdout):
            raise RuntimeError("PyTCP did not start")
