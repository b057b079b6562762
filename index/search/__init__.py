"""Indexes that answer searches: derived from the truth, and free to be deleted."""
