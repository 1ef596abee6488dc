"""A render farm of machines that share a folder."""
