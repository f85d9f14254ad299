"""Programs as ends of a connection: exec:, pty: and --exec."""
