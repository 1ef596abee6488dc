"""Stand-ins of cloud services on loopback, each a process of its own that ends with whoever started it.

What can be real is: the SDKs' clients, Lambda's runtime interface emulator and client, gRPC, our workers.
`python -m testbed.cloud aws|google COMMAND …` runs a command with all of a cloud around it.
"""
