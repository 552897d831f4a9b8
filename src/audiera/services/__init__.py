"""What a node is made of: one room for each of its jobs, each with its ports."""
