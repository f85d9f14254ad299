"""`sw ss --graph FILTER`: one TCP connection over time, for `sockwright.tools.ss`.

`run()` of the verb calls, with the keyword arguments that it would give to `dump`::

    yield from graphing(selection, interval=args.watch or 0.1, count=args.count,
                        duration=args.duration)

    def graphing(selection: Mapping[str, Any], *, interval: float = 0.1, count: int | None = None,
                 duration: float | None = None) -> Generator[object, None, int]

It yields `Remark`s (aside), one `Connection` (aside: which connection is followed), then a `Sample`
every `interval` seconds and an `Ended` when the connection does. With --json those are lines as
they are. The verb's page has

    from sockwright.tools._ss_graph import Connection
    if isinstance(row, Connection):     # the first row that is no Remark
        from sockwright.cli.pages._ss_graph import show_graph
        show_graph(chain([row], rows), screen)

which draws on a terminal and writes a line a sample into a pipe.

Raises (while it is iterated): `SockwrightError` where no connection matches, status 1.
"""
