"""The parts of an activation atlas: S. Carter et al., "Activation atlas", 2019.

- `vectors`: one activation vector per image, at a random position; the first bulk phase.
- `layout`: whitened, laid out by t-SNE, and kept for later attempts.
- `cells`: a grid over the map, and what each of its cells is about.
- `icons`: an image for each cell by gradient ascent; the second bulk phase.
- `attribution`: the classes that a cell speaks for, in the same phase.
- `icon_tiles`: the icons as a color layer of the map.

`featurescape_jobs.atlas` is the job.
"""
