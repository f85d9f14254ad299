"""How ends are opened: names, addresses, proxies, the options of sockets."""
