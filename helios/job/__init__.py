"""A job from outside: its document, its directory, its input files, and what its attempts leave in storage."""
