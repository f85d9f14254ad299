"""The machine behind a scan, without input or output: what to send, what answers mean."""
