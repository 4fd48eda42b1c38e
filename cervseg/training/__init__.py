"""Fit a network: batches, optimiser, epochs, checkpoints."""
