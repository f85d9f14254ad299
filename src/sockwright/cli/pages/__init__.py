"""Text of verbs that need more than a table.

A file here, named like the verb's file in `sockwright.tools`, holds one function::

    def render(rows: Iterable[Any], screen: Screen) -> None:

It goes through `rows` once, to the end, and writes what people read by `screen.line`,
`screen.paragraph` and `screen.code`, which clean and colour; each row is shown before the next is
asked for. It neither catches what `rows` raises nor decides the exit status. With ``--json`` it is
not used. A verb without a file here is shown by `sockwright.cli.table`.
"""
