"""Images by gradient ascent: objectives × parameterizations × transforms, and DeepDream.

- `pixels`: a network up to a layer, from pixel values 0 to 255, in the mode of a job.
- `objectives`: what is to grow, one value per image.
- `parameterizations`: what is changed: pixels, or spatial frequencies in decorrelated colors.
- `transforms`: what happens to the image before the network sees it, per image.
- `optimize`: many preferred inputs at once, by the recipes of the Toolbox and of Lucid.
- `deepdream`: octaves, jitter, tiles, for images of one size.

An image's result is a function of the image, its seed and the mode, never of the batch it is in.
"""
