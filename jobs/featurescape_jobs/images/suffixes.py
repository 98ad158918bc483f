"""Suffixes of image files; without any library, for the client too."""

# fmt: off
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp",
    ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".avif", ".avifs",
    ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".ico", ".tga", ".icb", ".vda",
    ".vst",
})
# fmt: on
"""How the names of images that are read end; what the bytes are decides."""
