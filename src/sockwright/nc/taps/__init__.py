"""What looks on at a conversation, dumps and records it, and sends it again."""
