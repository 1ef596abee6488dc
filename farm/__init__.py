"""Runs seen from outside, and what a farm is made of. Imports flows and below; see docs/architecture.md."""
