"""Where chunks are rendered, as the flow sees it: this machine's disk, or artifact storage."""
