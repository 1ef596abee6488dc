"""Prefect's server: the configured server, or a server that this program starts with settings of its own."""
