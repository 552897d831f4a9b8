"""The node's HTTP surface: typed routes, problems, who is asking and what they may."""
