"""Classification: rows of what a classifier says, and measures of how good it is."""
