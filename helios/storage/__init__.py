"""Artifact storage: files named by `file://`, `s3://` and `gs://`."""
