"""The ends of a session in the event loop, of every kind, and what is done to octets on the way."""
