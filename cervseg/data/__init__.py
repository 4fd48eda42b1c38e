"""From photographs and masks to tiles: find, split, check, cut, draw samples."""
