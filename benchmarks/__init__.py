"""Benchmarks: one file, one figure with a unit. ``python3 dev.py bench --list`` names them."""
