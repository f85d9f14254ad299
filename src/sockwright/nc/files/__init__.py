"""Send and receive files, whole, and go on where a transfer stopped."""
