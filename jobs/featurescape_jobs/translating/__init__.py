"""Translation in bulk: sentences through both networks."""
