"""Many jobs from one document: the rows of a table, and the documents that they make."""
