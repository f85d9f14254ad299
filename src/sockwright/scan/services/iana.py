"""Names of services by their port alone: IANA's, and those that everybody uses.

Source: the IANA registry of service names and port numbers (RFC 6335), by services(5) where this
machine has it. Below stands what matters most, for machines without that file, and a few ports that
the registry gives to somebody else or to nobody.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sockwright.scan.results import Protocol, Service

__all__ = ["from_table", "table_name"]

CONFIDENCE: Final = 0.3
"""A number says what should be there, not what is."""

# "port name", for TCP and for UDP.
_TCP: Final = """\
7 echo,9 discard,13 daytime,17 qotd,19 chargen,20 ftp-data,21 ftp,22 ssh,23 telnet,25 smtp,37 time,
43 whois,49 tacacs,53 domain,70 gopher,79 finger,80 http,88 kerberos,102 iso-tsap,104 acr-nema,
110 pop3,111 sunrpc,113 ident,119 nntp,135 epmap,139 netbios-ssn,143 imap,179 bgp,194 irc,389 ldap,
427 svrloc,443 https,445 microsoft-ds,464 kpasswd,465 submissions,502 mbap,513 login,
514 shell,
515 printer,543 klogin,548 afpovertcp,554 rtsp,563 nntps,587 submission,593 http-rpc-epmap,631 ipp,
636 ldaps,646 ldp,853 domain-s,860 iscsi,873 rsync,902 ideafarm-door,989 ftps-data,990 ftps,
992 telnets,993 imaps,995 pop3s,1080 socks,1099 rmiregistry,1194 openvpn,1433 ms-sql-s,1521 oracle,
1723 pptp,1883 mqtt,1965 gemini,2049 nfs,2181 zookeeper,2375 docker,2376 docker-s,2379 etcd-client,
2380 etcd-server,2628 dict,3000 http-alt,3128 squid-http,3260 iscsi-target,3268 msft-gc,3306 mysql,
3389 ms-wbt-server,3632 distcc,3690 svn,4190 sieve,4222 nats,4369 epmd,4713 pulseaudio,
5000 http-alt,
5060 sip,5061 sips,5222 xmpp-client,5269 xmpp-server,5432 postgresql,5555 adb,5601 kibana,
5671 amqps,5672 amqp,5900 rfb,5901 rfb,5902 rfb,5985 wsman,5986 wsmans,6000 x11,6001 x11,6379 redis,
6443 kubernetes,6600 mpd,6667 ircu,6697 ircs-u,7000 afs3-fileserver,8000 http-alt,8008 http-alt,
8009 ajp13,8080 http-alt,8081 http-alt,8088 http-alt,8443 https-alt,8883 secure-mqtt,8888 http-alt,
9000 http-alt,9042 cassandra,9090 http-alt,9092 kafka,9093 kafka,9100 pdl-datastream,
9200 elasticsearch,9300 elasticsearch,9418 git,10250 kubelet,11211 memcache,15672 http-alt,
25565 minecraft,27017 mongodb,33060 mysqlx,50000 http-alt,64738 murmur"""
_UDP: Final = """\
7 echo,9 discard,13 daytime,17 qotd,19 chargen,37 time,53 domain,67 bootps,68 bootpc,69 tftp,
88 kerberos,111 sunrpc,123 ntp,137 netbios-ns,138 netbios-dgm,161 snmp,162 snmptrap,177 xdmcp,
389 ldap,427 svrloc,443 https,500 isakmp,514 syslog,520 router,623 asf-rmcp,631 ipp,1194 openvpn,
1434 ms-sql-m,1645 radius,1646 radacct,1701 l2tp,1812 radius,1813 radius-acct,1900 ssdp,2049 nfs,
3478 stun,3702 ws-discovery,4500 ipsec-nat-t,4789 vxlan,5060 sip,5349 stuns,5351 nat-pmp,5353 mdns,
5355 llmnr,5683 coap,5684 coaps,10001 ubnt-discover,11211 memcache,19132 minecraft,27015 source,
51820 wireguard,64738 murmur"""


def from_table(port: int, protocol: Protocol) -> Service | None:
    """Return the service that the number of a port stands for; None where it stands for none."""
    from sockwright.scan.results import Service

    name = table_name(port, protocol)
    return Service(name=name, confidence=CONFIDENCE) if name else None


def table_name(port: int, protocol: Protocol) -> str:
    """Return the name that the number of a port stands for, or nothing."""
    return _own(protocol).get(port) or _of_this_machine(protocol).get(port, "")


@cache
def _own(protocol: Protocol) -> Mapping[int, str]:
    entries = (_TCP if protocol == "tcp" else _UDP).replace("\n", "").split(",")
    pairs = (entry.partition(" ") for entry in entries)
    return {int(port): name for port, _, name in pairs}


@cache
def _of_this_machine(protocol: Protocol) -> Mapping[int, str]:
    from sockwright.nc.checking.ports import service_names

    return {port: _printable(name) for port, name in service_names(protocol).items()}


def _printable(name: str) -> str:
    return "".join(one for one in name if one.isprintable())[:64]
