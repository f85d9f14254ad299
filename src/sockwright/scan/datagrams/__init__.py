"""The UDP scan: ports asked by datagrams, which takes no privilege."""
