"""Prefect's API as this program uses it: one try, paging, states, log lines. Imports helios and Prefect."""
