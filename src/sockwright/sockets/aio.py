"""The asyncio door; see below."""
