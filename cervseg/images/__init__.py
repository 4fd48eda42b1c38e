"""One way to look at pixels: open an image, read a window, at any scale."""
