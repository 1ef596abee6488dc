"""What the product costs, against its references in the same run: `make bench`."""
