"""The sockets of this machine, as sock_diag(7) tells of them: what ss(8) lists.

What is for other programs is imported from `sockwright.sockets`, and so loaded when it is used:
``from sockwright.sockets import dump, watch``. Here stand the modules that it is made of; among
them `explain`, `machine`, `filter` and `states` are for everybody, too.
"""
