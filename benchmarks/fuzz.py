"""Parsers against inputs that nobody would write, for so many minutes each; what is found is printed, smallest first.

python benchmarks/fuzz.py [--parser conditions ...] --minutes 10 --seed 1

Rounds of 500 inputs have seeds of their own, counted from --seed, so that each can be had again. `tests/fuzzing.py` has
the inputs and what must hold; what was found stands in tests/test_fuzzing.py.
"""

from __future__ import annotations

import argparse
import time
import traceback

from hypothesis import HealthCheck, given, seed, settings

from tests.fuzzing import PARSERS, Parser

ROUND = 500  # inputs of one seed


def campaign(parser: Parser, first_seed: int, seconds: float) -> tuple[int, int, dict[str, str]]:
    """Rounds, inputs, and what was found: by where it happened, the report of the first."""
    tried, rounds, found, end = 0, 0, {}, time.monotonic() + seconds
    while time.monotonic() < end:

        def once(given_: object) -> None:
            nonlocal tried
            tried += 1
            parser.check(given_)

        run = settings(
            max_examples=ROUND, database=None, deadline=None, print_blob=False, suppress_health_check=list(HealthCheck)
        )(seed(first_seed + rounds)(given(parser.inputs)(once)))
        try:
            run()
        except Exception as error:
            for one in error.exceptions if isinstance(error, ExceptionGroup) else (error,):
                where = traceback.extract_tb(one.__traceback__)[-1]
                notes = "\n".join(getattr(one, "__notes__", ()))
                report = f"seed {first_seed + rounds}: {type(one).__name__}: {one!s:.500}\n{notes:.2000}"
                place = f"{where.filename}:{where.lineno}"
                if place not in found:
                    found[place] = report
                    print(f"FOUND at {place}\n{report}", flush=True)
        rounds += 1
    return rounds, tried, found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--parser", action="append", choices=sorted(PARSERS), help="by default every one")
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--seed", type=int, default=1)
    given_ = options.parse_args()
    for name in given_.parser or PARSERS:
        started = time.process_time()
        rounds, tried, found = campaign(PARSERS[name], given_.seed, 60 * given_.minutes)
        used = time.process_time() - started
        print(
            f"{name}: {tried:,} inputs in {rounds} rounds from seed {given_.seed}, {given_.minutes:g} minutes "
            f"({used:.0f} s of one processor): {len(found)} found",
            flush=True,
        )


if __name__ == "__main__":
    main()
