"""Images: what bytes are, encoded bytes to pixels, pixels to thumbnails."""
