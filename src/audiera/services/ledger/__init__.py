"""What orders transactions and keeps what they did: one port, one chain format, an engine behind it."""
