"""Measuring: recall, errors, the paper's tables."""
