"""Compositions to render: small programs that draw a range of frames into a file."""
