"""Scores that cannot flatter: numpy and scipy only."""
