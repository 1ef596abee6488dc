"""The costs of this project, against references that are measured in the same run: `make bench`."""
