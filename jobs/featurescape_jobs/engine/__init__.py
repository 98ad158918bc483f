"""How jobs are run, whatever they do: committed artifacts, and which of them is one's own already."""
