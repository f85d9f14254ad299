"""The sockets of this machine, as sock_diag(7) tells of them: what ss(8) lists."""
