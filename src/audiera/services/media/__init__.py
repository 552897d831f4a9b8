"""Taking sounds in: spool, pipeline, drafts, and what a registration must agree with."""
