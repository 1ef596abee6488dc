"""What a person sees of a run: the page in Prefect's UI, and what is sent to a webhook."""
