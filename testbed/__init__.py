"""Stand-ins of clouds, servers and renderers that run on this machine: for tests, benchmarks, demos and faults."""
