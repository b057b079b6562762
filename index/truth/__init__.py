"""The rows of a gallery: the truth about its images."""
