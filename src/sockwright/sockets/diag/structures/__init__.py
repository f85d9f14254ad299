"""What the kernel's structures hold, described field by field as the C headers have them."""
