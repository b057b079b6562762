"""The largest numbers, and the longest texts, that are believed of a gallery."""

from __future__ import annotations

MOST_FACES = 100_000  # in one photo
LARGEST_ID = 2**62  # that an import brings along, so that others can come after it
LARGEST_PERSON = 2**31 - 1
MOST_VALUES, LARGEST_VALUE = 1_000, 2**31  # of an attribute
LONGEST_NAME = 100  # characters of an attribute's
LONGEST_ENCODER = 4_000  # characters of an encoder's name
LARGEST_DESCRIPTOR = 2**20  # numbers
LONGEST_PATH = 4_096  # bytes
