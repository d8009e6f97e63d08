"""What reads a slide's file, one a library: OpenSlide, tifffile, Pillow."""
