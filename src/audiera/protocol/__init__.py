"""What all must agree on: pure, deterministic, integers only."""
