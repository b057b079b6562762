"""A recipe that needs no masks and learns on a processor in seconds: the paper's networks, with the contrast."""

from __future__ import annotations

from faceedit.training.recipes import Recipe

SMALL = Recipe(
    name="small",
    optimiser="adamw",
    learning_rate=1e-3,
    weight_decay=1e-4,
    sources=8,
    targets=7,
    steps_one=8_000,
    steps_two=1_200,
    warmup=200,
    cosine=True,
    clip=1.0,
    include_same=True,
    contrast=0.2,
)
