"""Expressions of every construct of the language, right and wrong ones, one a line."""

from __future__ import annotations

__all__ = ["EXPRESSIONS"]

_LINES = r"""
ip
ip6
arp
rarp
tcp
udp
sctp
icmp
icmp6
igmp
igrp
pim
vrrp
carp
ah
esp
atalk
aarp
decnet
lat
sca
moprc
mopdl
iso
esis
es-is
isis
clnp
l1
l2
iih
lsp
snp
csnp
psnp
stp
ipx
netbeui
radio
ether
host 1.2.3.4
src host 1.2.3.4
dst 1.2.3.4
src or dst host 1.2.3.4
src and dst host 1.2.3.4
ip host 1.2.3.4
arp host 1.2.3.4
rarp dst host 1.2.3.4
tcp host 1.2.3.4
ip6 host 1.2.3.4
host 1.2
host fe80::1
src fe80::1
ip6 host fe80::1
net fe80::/10
net 2001:db8::/33
dst net ::/0
host fe80::/10
host fe80::1/128
net 10
net 10.1
net 10.0.0.0/8
net 10.1.0.0/8
net 10.0.0.0 mask 255.0.0.0
src net 192.168.0.0/16
net 0.0.0.0/0
net 1.2.3.4
net loopback
net 10.0.0.0/33
host 10.0.0.0/8
net 256.1
host 5
src 5
net 5
net 0
net 70000
port 80
src port 80
dst port 80
src and dst port 80
tcp port 80
udp dst port domain
sctp port 5
port http
port tftp
tcp port tftp
ip port 80
port 70000
port foo
port 5-6
portrange 5-6
portrange 6-5
tcp src portrange 1-1000
portrange http-https
portrange 80
portrange ftp-data
tcp portrange 5-foo
ip proto 6
ip proto \tcp
ip6 proto \udp
proto 17
proto \sctp
proto foo
ip proto tcp
ether proto 0x800
ether proto \ip
ether proto \stp
ether proto \loopback
ether proto 100
ether proto 70000
iso proto 3
iso proto \isis
iso proto foo
isis proto 20
tcp proto 3
arp proto 3
ip proto 300
src proto 6
ip protochain 6
ip6 protochain 6
protochain 58
protochain \tcp
ether protochain 6
ether host 1:2:3:4:5:6
ether src 01-02-03-04-05-06
ether dst 0102.0304.0506
ether host 010203040506
ether 1.2.3.4.5.6
host 1:2:3:4:5:6
ether host 1.2.3.4
ether host foo
ether src and dst ff:ff:ff:ff:ff:ff
wlan host 1:2:3:4:5:6
broadcast
multicast
ether broadcast
ether multicast
ip broadcast
ip multicast
ip6 multicast
tcp multicast
ip6 broadcast
less 100
greater 100
len > 100
len < 0x10
len <= 20
len >= 20
len != 20
length = 20
inbound
outbound
ifindex 3
byte 3 = 4
byte 3 > 4
byte 3 < 4
vlan
vlan 5
vlan 4095
vlan 4096
vlan (7)
vlan and ip
vlan or ip
vlan 5 and vlan 6 and tcp port 80
(vlan 3 and ip) or ip
mpls
mpls 5
mpls 1048576
mpls and ip
mpls and arp
mpls 3 and mpls 4 and host 1.2.3.4
mpls and port 80
mpls and net 10
mpls and vlan
mpls and tcp
pppoed
pppoes
pppoes 7
pppoes 70000
pppoes and ip
pppoes and tcp port 80
pppoes and ether host 1:2:3:4:5:6
pppoes and mpls and ip
vlan and pppoes and ip
pppoes and vlan
geneve
geneve 5
geneve 16777216
geneve and ip
geneve and tcp port 80
geneve and geneve 3 and host 1.2.3.4
geneve and ether host 1:2:3:4:5:6
geneve and vlan 3 and ip
geneve and mpls and ip6
geneve and pppoes and ip
geneve and broadcast
geneve and protochain 6
vlan and geneve and ip6 host fe80::1
geneve and tcp[0] = 1 and ip[1:2] = 3 and icmp6[0] = 4 and ether[ip[0]] = 5
llc
llc i
llc s
llc u
llc rr
llc rnr
llc rej
llc ui
llc ua
llc disc
llc sabme
llc test
llc xid
llc frmr
llc foo
llc UI
decnet src 10.123
decnet host 10.123
decnet dst 1.5
decnet host 5
decnet 10.1 or 10.2
decnet host foo
ip[0] = 0x45
ip[0:2] = 3
ip[0:4] = 3
ip[0:3] = 3
ip6[6] = 6
tcp[13] & 2 != 0
tcp[tcpflags] & (tcp-syn|tcp-fin) != 0
tcp[tcpflags] == tcp-syn
udp[4:2] > 100
icmp[icmptype] = icmp-echo
icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply
icmp6[icmp6type] = icmp6-neighborsolicit
icmp6[ip6[3]] = icmp6-echo
arp[6:2] = 1
ether[0] & 1 = 0 and ip[16] >= 224
link[5] = 3
sctp[0:2] = 80
igmp[0] = 0x11
pim[0]=1
vrrp[0]=1
carp[0]=1
igrp[0]=1
esp[0]=1
ah[0]=1
stp[0]=1
radio[0]=1
atalk[0]=1
aarp[0]=1
decnet[0]=1
lat[0]=1
sca[0]=1
mopdl[0]=1
moprc[0]=1
rarp[0]=1
iso[0]=1
ip[ip[0]&0xf] = 3
tcp[tcp[12]>>2] = 3
tcp[ip[0]] + udp[0] = 3
udp[tcp[0]:2] < udp[2:2]
ip[2:2] - ((ip[0]&0xf)<<2) - ((tcp[12]&0xf0)>>2) != 0
tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)
len + 1 = 5
len - 1 = 5
len * 2 = 5
len / 2 = 5
len % 2 = 1
len & 2 = 2
len | 2 = 2
len ^ 2 = 2
len << 2 = 8
len >> 2 = 8
len / 0 = 5
len % 0 = 5
len << 32 = 1
( - len) = 5
- - len = 5
len + 2 * 3 = 5
len * 2 + 3 = 5
len - 2 - 3 = 5
len | 1 & 2 = 3
len & 1 | 2 = 3
len << 1 + 2 = 3
len ^ 1 + 2 * 3 = 4
len * 2 ^ 1 + 2 = 4
len + 1 % 2 * 3 = 4
- len ^ 3 = 2
len-3 = 5
5 = len
(5) = len
((5)) = (len)
(len) = 5
(len + 3) * 2 = 5
1 = 1
len = len
ip[0] = ip[1]
len & 0xffffffff = 4294967295
len = 4294967296
len = 08
len = 017
not ip
! ip
not not ip
not tcp port 80 and udp
not (tcp port 80 and udp)
ip and tcp or udp
ip or tcp and udp
ip and (tcp or udp)
arp or ip and tcp
host 1.2.3.4 and 5.6.7.8
not host 1.2.3.4 and 5.6.7.8
not host 1.2.3.4 and not 5.6.7.8
host 1.2.3.4 and (5.6.7.8 or 9.9.9.9)
host 1.2.3.4 and (tcp port 80) and 5.6.7.8
host (1.2.3.4 or 5.6.7.8)
tcp port (80 or 443)
port 80 or 90 or (91)
port (80)
port ((80))
port 80 and tcp and 90
tcp dst port ftp or ftp-data or domain
port not 80
port (not 80 or 443)
port 80 or 443 = len
port 80 and (443 = len)
port 80 and (443 or 22)
tcp && udp || icmp
tcp port 80 host 1.2.3.4
tcp port 80 1.2.3.4
1.2.3.4
foo
tpc port 80
tcp and
and tcp
(tcp
tcp)
()
ip[0
ip[0]
ip[]=1
ip[0]=
len
5
port
host
net
host and
src tcp
host tcp
gateway foo
type mgt
type mgt subtype beacon
dir tods
wlan type data
addr1 1:2:3:4:5:6
lane
vpi 5
fisu
sio 3
on eth0
rnr 5
$a
ether $a
host 1::2::3
1:2:3:
#
host localhost
ip host localhost
ip6 host localhost
ether proto \iso
ether proto \ipx
ether proto \netbeui
ether proto \atalk
ether proto \aarp
ether proto \arp
ether proto 0x06
ether proto 0xfe
ether proto 0xf0
ether proto 0xe0
ether proto 1500
ether proto 1501
ip[-1] = 3
link[0xffffffff] = 3
ip[len] = 3
ether[1:4] > 0x80000000
"""

EXPRESSIONS = (
    *_LINES.strip().splitlines(),
    " or ".join(f"host 10.0.0.{i}" for i in range(120)),  # jumps of more than 255 instructions
    " and ".join(f"not port {i}" for i in range(60)),
    "(" * 50 + "tcp" + ")" * 50,
)
