"""Places that examples are read from: folders, archives, tables, other jobs."""
