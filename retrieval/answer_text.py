"""Answers as text: a table for people, JSON and comma-separated values for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass

from faceedit.attributes import AttributeSpace
from faceedit.text import cell, printable
from retrieval.answers import SHOWN, Answer, table
from retrieval.tables import plain

FORMATS = ("table", "json", "jsonl", "csv")
_PLACE = ("path", "face", "box", "file")
_COLUMNS = ("query", "asked", "rank", "distance", "identity", *SHOWN, *_PLACE, "person", "suggested")


@dataclass(frozen=True)
class Format:
    """name: one of FORMATS; swept: the attribute of which every query is answered at each value; several: whether there
    is more than one query."""

    name: str
    swept: AttributeSpace | None = None
    several: bool = False

    def text(self, query: str, answers: Sequence[Answer], first: bool = True) -> str:
        """The answers to one query: one, or one for each value of the swept attribute. first: of all queries, where a
        line of titles is due."""
        if self.name == "csv":
            return _csv(query, answers, first)
        if self.name in ("json", "jsonl"):
            return json.dumps(self._content(query, answers))
        return "\n".join([*([printable(query)] if self.several else []), *table(answers, self.swept)])

    def warnings(self, query: str, answers: Sequence[Answer]) -> list[str]:
        """One where nothing is near at any asked value."""
        answers = [answer for answer in answers if answer.near is not None]
        if not answers or any(answer.near for answer in answers):
            return []
        nearest = min((answer.first for answer in answers if answer.first), key=lambda first: first.distance)
        if nearest.by_who:
            return [
                f"{printable(query)} is probably nobody of this gallery: in who it is the first result is "
                f"{nearest.distance:.3f} away, beyond {nearest.limit:.3f}, and {nearest.usual}"
            ]
        return [
            f"nothing is near {printable(query)}: the first result is {nearest.distance:.3f} away, and "
            f"{nearest.usual}; is it an aligned face (`facesearch data import` makes such crops), and is the person "
            "here?"
        ]

    def _content(self, query: str, answers: Sequence[Answer]) -> dict[str, object]:
        contents = [{**answer.as_json(), "query": query} for answer in answers]
        if self.swept is None:
            return contents[0]
        return {"query": query, "answers": [{k: v for k, v in one.items() if k != "query"} for one in contents]}


def _csv(query: str, answers: Sequence[Answer], first: bool) -> str:
    lines = io.StringIO()
    writer = csv.DictWriter(lines, _COLUMNS, lineterminator="\n")
    if first:
        writer.writeheader()
    for answer in answers:
        asked = ", ".join(f"{name} {value}" for name, value in answer.asked.items())
        rows = ({"query": query, "asked": asked, **result.as_json()} for result in answer.results)
        writer.writerows({name: cell(plain(value)) for name, value in row.items()} for row in rows)
    return lines.getvalue().removesuffix("\n")
