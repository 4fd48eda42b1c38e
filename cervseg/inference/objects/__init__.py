"""Objects of a mask of any height: cleaned, found, measured and written in one pass of its rows."""
