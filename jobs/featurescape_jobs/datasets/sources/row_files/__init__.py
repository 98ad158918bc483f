"""Row files: N rows of named columns in a file, whatever its format, read by range as Arrow batches.

A module per format; `find` says which are read, `base` what they have in common.
"""
