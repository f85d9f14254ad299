"""One workbench for every kind of socket: stream, datagram and raw."""
