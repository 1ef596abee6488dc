"""Flows alone: Prefect puts this folder first on the path when it loads one from its file."""
