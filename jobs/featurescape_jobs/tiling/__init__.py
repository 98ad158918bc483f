"""Tiling of a layout: where things lie (`geometry`), what is counted (`aggregates`), which images stand
for a cell (`image_choice`, `thumbnail_store`), the files (`archive`, `points`), and all of it (`drawing`).

The color layers draw with these; `featurescape_jobs.tiles` is the job.
"""
