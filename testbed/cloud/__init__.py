"""Stand-ins of cloud services on loopback, each in a process of its own that ends with its caller.

The SDKs' clients, Lambda's runtime interface emulator and client, gRPC and our workers are real.
`python -m testbed.cloud aws|google COMMAND …` runs a command with a cloud's stand-ins around it.
"""
