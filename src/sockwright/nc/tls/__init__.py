"""TLS (RFC 8446, RFC 5246) for any stream: options, certificates, sessions, errors in words."""
