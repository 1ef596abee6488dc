"""The bad-picture bench: good films and bad ones, drawn from a seed, as real files through the real verification."""
