"""Prefect's server: the configured one, or one that this program starts with settings of its own."""
