"""The service: scheduler, record, API and the viewer's files (installed with the extra `server`)."""
