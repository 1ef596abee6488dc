"""Settings of every Prefect server that this program starts.

With Prefect's own, a server spends 30 to 37 ms of CPU per task run on SQLite, and 1,000 finished task runs
take 25 to 31 s until all of them can be seen; written in batches they take 6 to 7 ms and 3 s.
"""

BATCHED_WRITES = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_TRIGGERS_READ_BATCH_SIZE": "100",
}
EMBEDDED = {
    **BATCHED_WRITES,
    "PREFECT__SERVER_FINAL": "1",  # it does not start further processes of its own
    # A render does not report home.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}
