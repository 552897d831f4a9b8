"""One running node: the only place where the rooms are plugged together."""
