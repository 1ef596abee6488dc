"""The fault bench: seeded jobs that are rendered while things die, and are resumed to their end."""
