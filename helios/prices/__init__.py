"""What workers cost: the prices of platforms, from a dated file, and how their time is rounded.

Imports models and the standard library alone.
"""
