"""The connect scan: ports asked by connect(2), which takes no privilege."""
