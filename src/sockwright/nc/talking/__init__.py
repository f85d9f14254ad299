"""What conversations are made of; `nc.conversation` and `nc.aio` are built on it."""
