"""Job templates of Open Job Description (jobtemplate-2023-09): made into job documents, their tasks run by chunks.

The libraries that read a template and run its sessions are the extra `openjd`; `library` alone loads them.
"""
