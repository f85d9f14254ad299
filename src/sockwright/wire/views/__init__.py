"""What a packet looks like to people: as a tree, as the RFCs draw it, as octets, as source.

All of it comes out of the field descriptions; nothing here knows a protocol. The functions take any
packet (built, edited, decoded, truncated, nonsense, empty) and never raise because of its content.
"""
