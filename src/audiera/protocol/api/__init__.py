"""The HTTP contract between a node and whoever calls it: route names, requests, answers."""
