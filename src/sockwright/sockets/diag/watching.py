"""`watch`: what happens to the sockets of this machine, as it happens.

    with watch("tcp", where="dport = :443") as sockets:
        for event in sockets:           # or, in a coroutine: async for event in sockets
            print(event.kind, event.row)
"""
