"""Which ports answer: `sw nc -z`."""
