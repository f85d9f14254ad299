"""`sw ss --watch`: rows of what happens to sockets, for `sockwright.tools.ss`.

`run()` of the verb calls, with the keyword arguments that it would give to `dump`::

    yield from watching(
        tables, selection, interval=args.watch, count=args.count, duration=args.duration,
        frames=not args.json and sys.stdout.isatty(), title="tcp, state established",
    )

    def watching(tables: Sequence[str], selection: Mapping[str, Any], *, interval: float = 1.0,
                 count: int | None = None, duration: float | None = None, frames: bool,
                 title: str = "") -> Generator[object, None, int]

With `frames` it yields one `Frame` whenever the picture on a terminal is to be drawn anew, else the
`SocketEvent` of the library, one by one: with --json each is a line as it is. The verb's page has

    from sockwright.tools._ss_watch import Frame
    if isinstance(row, Frame):          # the first row tells
        from sockwright.cli.pages._ss_watch import show_watch
        show_watch(chain([row], rows), screen, cells)
    if isinstance(row, SocketEvent):    # into a pipe
        from sockwright.cli.pages._ss_watch import show_events
        show_events(chain([row], rows), screen, cells)

where `cells(row: SocketRow) -> Sequence[tuple[str, str]]` gives (head, text) of each column that the
ordinary table would show for this row, most important first where the last ones may be cut off.

The return value is the exit status: 0, also after Ctrl-C, as with `sw capture`.
"""
