"""Ask a host what it is: probes out, answers in, the clock passed in; nothing here opens a socket.

The files in the order to read them: `probes` makes the packets, `prober` decides what is sent when
and when silence means something, `numbers` finds the rules behind counters, `measuring` makes
traits of the answers. `probing`, one folder up, joins it to sockets.
"""
