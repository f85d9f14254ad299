"""The machinery under the headers: fields, header, packet, registry, checksum, findings.

A reader starts with `field.py` (how one field is described), goes on to `header.py` (what a class
makes of its fields) and ends with `packet.py` (how headers become octets and come back).
"""
