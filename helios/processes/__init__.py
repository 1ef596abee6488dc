"""Run commands, and leave no process behind."""
