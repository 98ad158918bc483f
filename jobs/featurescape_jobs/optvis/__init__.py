"""Pictures by gradient ascent: objectives × parameterizations × transforms, and DeepDream.

- `pixels`: a network up to a layer, from pixel values 0 to 255, in the mode of a job.
- `objectives`: what is to grow, one value per picture.
- `parameterizations`: what is changed: pixels, or spatial frequencies in decorrelated colors.
- `transforms`: what happens to the picture before the network sees it, per picture.
- `optimize`: many preferred inputs at once, by the recipes of the Toolbox and of Lucid.
- `deepdream`: octaves, jitter, tiles, for pictures of one size.

A picture's result is a function of the picture, its seed and the mode, never of the batch it is in.
"""
