"""What a run over many pictures did: values that become JSON and tell themselves."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faceedit.formats import MISSING
from faceedit.lookalikes import told as left_out_text
from faceedit.text import message, printable
from index.search.plan import KINDS, Prepared
from retrieval.comparing import LeftOut
from retrieval.kinds import counts_text
from retrieval.label_rows import LabelRows
from retrieval.levels import SameName, told
from retrieval.tables import counted, held


def unsearched(reason: Exception | None, what: str = "the index is not built anew") -> list[str]:
    """Why there is no new index, where there is none; the gallery is searched all the same."""
    return [] if reason is None else [f"{what}: {message(str(reason))}"]


@dataclass
class IndexReport:
    """What one run did.

    images: how many the gallery holds now. unchanged: the same file, or a newer one with the same content; renamed:
    known content at a new place, whose old one has gone or is another's now; changed: files with other content than
    before; duplicates: content that another image has, whose descriptor they share; vanished: how many images the
    gallery still holds although their files have gone; left_out: those that it holds of the folder and that are not
    looked at any more, although their files are there; pruned: how many of these were removed; returned: how many were
    pruned before, and have what a hand said of them again; hidden: faces that were left out, since somebody hid them;
    others: names of faces of which a hand said something, and
    whose files show another person now, or not that one: it is kept for when the content comes back; photos: how many
    have a face in the gallery; faceless: those that were looked at and show none, with the reason;
    lookalike_reasons: how many places in the photographs that were read look like faces and were left out, by the
    reason; lookalikes: all of them; skipped: unreadable files and folders with their reasons;
    passed: files and folders, below the one that was indexed, that are no pictures or not to be looked at, and as what;
    warned: files that were read although something beside their pixels is damaged, and what that is.
    rows: how the labels' table and the images met, where one was given; same_names: names of folders that stand below
    several others, told once, until somebody says which level names people.
    otherwise: how many photos stay as they were, although --faces or --detector is another now.
    unmatched: absolute globs of what to pass over that nothing was passed over for.
    likely_only: how many images keep a description by their likely candidates alone, although all were to be tried.
    search: how the gallery is searched now; not_searched: why it is not searched as was asked for, but as before.
    """

    images: int = 0
    described: int = 0
    unchanged: int = 0
    renamed: int = 0
    duplicates: int = 0
    changed: int = 0
    relabelled: int = 0
    vanished: int = 0
    left_out: LeftOut = field(default_factory=LeftOut)
    pruned: int = 0
    returned: int = 0
    hidden: int = 0
    others: list[str] = field(default_factory=list)
    photos: int = 0
    faceless: list[tuple[Path, str]] = field(default_factory=list)
    lookalike_reasons: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    warned: list[tuple[Path, str]] = field(default_factory=list)
    rows: LabelRows | None = None
    same_names: list[SameName] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    passed: list[tuple[str, str]] = field(default_factory=list)
    otherwise: int = 0
    likely_only: int = 0
    search: Prepared | None = None
    not_searched: Exception | None = None

    @property
    def lookalikes(self) -> int:
        return self.lookalike_reasons.total()

    def as_json(self) -> dict[str, Any]:
        """What `json.dumps` takes."""
        return {
            **{name: getattr(self, name) for name in _COUNTS},
            "lookalike_reasons": dict(self.lookalike_reasons.most_common()),
            "skipped": [{"path": str(path), "reason": reason} for path, reason in self.skipped],
            "without_face": [{"path": str(path), "reason": reason} for path, reason in self.faceless],
            "warnings": [{"path": str(path), "warning": warning} for path, warning in self.warned],
            "others": self.others,
            "labels": self.rows.as_json() if self.rows else None,
            "same_names": [{"identity": one.identity, "folders": list(one.folders)} for one in self.same_names],
            "exclude_unmatched": self.unmatched,
            "left_out": {"count": self.left_out.count, "first": self.left_out.first},
            "passed_over": [{"path": path, "kind": kind} for path, kind in self.passed],
            "passed_over_kinds": dict(Counter(kind for _, kind in self.passed).most_common()),
            "search": {"kind": self.search.kind, "recall": self.search.recall} if self.search else None,
        }

    def lines(self, gallery: object, seconds: float) -> list[str]:
        """What was done, for people."""
        first = (
            f"{printable(str(gallery))}: {held(self.images, self.photos)}; {self.described:,} described, "
            f"{self.unchanged:,} unchanged, {len(self.skipped):,} skipped in {seconds:.1f} s"
        )
        told = [f"{getattr(self, name):,} {what}" for name, what in _TOLD.items() if getattr(self, name)]
        told += self.rows.lines() if self.rows else []
        if self.faceless:
            told.append(f"{counted(len(self.faceless), 'photograph')} without a face; `gallery problems` lists them")
        if self.lookalikes:
            told.append(left_out_text(self.lookalike_reasons))
        if self.passed:
            told.append(f"passed over: {counts_text(self.passed)}; --verbose lists them")
        if self.search is not None and self.search.index is not None:
            told.append(
                f"searched by {KINDS[self.search.kind]}: {self.search.recall:.4f} of the ten nearest found in "
                f"{self.search.index.milliseconds:.1f} ms"
            )
        return [first, *told]

    def skipped_lines(self) -> list[str]:
        """What could not be read, and why, a line each."""
        told = (reason if str(path) in reason else f"{path}: {reason}" for path, reason in self.skipped)
        return [printable(one) for one in told]

    def passed_lines(self) -> list[str]:
        """What was passed over, and as what, a line each."""
        return [printable(f"{path}: {kind}") for path, kind in self.passed]

    def warnings(self) -> list[str]:
        """What somebody may want to do otherwise."""
        found = []
        if self.warned:
            shown = "; ".join(f"{path}: {warning}" for path, warning in self.warned[:_SHOWN])
            more = "; ..., --json lists them all" if len(self.warned) > _SHOWN else ""
            found.append(printable(f"{counted(len(self.warned), 'file')} read with something amiss: {shown}{more}"))
        if self.others:
            found.append(_others_text(self.others))
        found += self.rows.warnings() if self.rows else []
        found += [told(self.same_names)] if self.same_names else []
        found += [
            printable(f"--exclude {glob}: there is nothing of that path in the folder: nothing was passed over for it")
            for glob in self.unmatched
        ]
        if self.likely_only:
            found.append(
                f"{self.likely_only:,} images were described before by their likely candidates alone, and stay as they "
                "are; to try all of them, index into another --db"
            )
        if self.otherwise:
            found.append(
                f"{counted(self.otherwise, 'image')} of the gallery stay as another --faces or --detector made them, "
                "until their files change; index into another --db to have all of them alike"
            )
        kinds = Counter(kind for _, kind in self.passed)
        for kind, mend in MISSING.items():
            if kinds[kind]:
                found.append(f"{counted(kinds[kind], f'{kind} picture')} cannot be read here: {mend}")
        if self.left_out.count:
            found.append(_left_out_text(self.left_out))
        if self.vanished:
            gone = counted(self.vanished, "image")
            found.append(f"the files of {gone} in the gallery have gone; --prune removes them")
        return found


def _others_text(names: list[str]) -> str:
    """Of whom, and what becomes of it."""
    more = ", ..." if len(names) > _SHOWN else ""
    return printable(
        f"what a hand said of {counted(len(names), 'face')} did not stay, since the file shows another person now, or "
        f"not that one: {', '.join(names[:_SHOWN])}{more}. It is kept for when the content comes back; `facesearch "
        "gallery label` says anew who it is"
    )


def _left_out_text(left_out: LeftOut) -> str:
    """How many, which, and how to remove them."""
    more = ", ..." if left_out.count > _SHOWN else ""
    example = left_out.first[0].rpartition("/")[0] or "old"
    return printable(
        f"{counted(left_out.count, 'image')} in the gallery not looked at any more, though still there (--exclude, "
        f"links, names that are passed over): {', '.join(left_out.first[:_SHOWN])}{more}. They stay; `facesearch "
        f"gallery remove` removes them, by path or by --where, such as \"path like '{example}/%'\""
    )


_SHOWN = 3  # files named in a warning
_TOLD = {
    "renamed": "were known under another name",
    "duplicates": "have the content of another image, and share its description",
    "changed": "have other content than before",
    "pruned": "were removed: their files have gone; what a hand said of them is kept for when they come back",
    "returned": "were pruned before, and have again what a hand said of them",
    "relabelled": "got new labels",
    "hidden": "left out, since somebody hid them; `gallery hidden` lists them",
}
_COUNTS = (
    *("images", "photos", "described", "unchanged", "renamed", "duplicates", "changed", "relabelled", "vanished"),
    *("pruned", "returned", "hidden", "lookalikes"),
)


@dataclass
class RedescribeReport:
    """What one run did.

    model: its digest; described: images; before: those that an earlier run had done; changed: names of faces of which a
    hand said something, and whose files are others since they were described; dropped: images that were removed
    since their files cannot be read; unread: the paths of such images with the reason, where they were not to be
    removed; finished: whether the new model has taken over; not_searched: why there is no index of it yet, where one
    cannot be built.
    """

    model: str
    described: int = 0
    before: int = 0
    changed: list[str] = field(default_factory=list)
    dropped: int = 0
    unread: list[tuple[str, str]] = field(default_factory=list)
    finished: bool = False
    not_searched: Exception | None = None

    def as_json(self) -> dict[str, Any]:
        """What `json.dumps` takes."""
        names = ("described", "before", "changed", "dropped", "unread", "finished")
        return {name: getattr(self, name) for name in names}

    def unread_lines(self) -> list[str]:
        """What could not be described, and why, a line each."""
        told = (reason if path in reason else f"{path}: {reason}" for path, reason in self.unread)
        return [printable(one) for one in told]

    def warnings(self) -> list[str]:
        """What is not as it was."""
        return unsearched(self.not_searched)

    def lines(self, gallery: object) -> list[str]:
        """What was done, for people."""
        dropped = f", {self.dropped:,} removed: their files cannot be read" if self.dropped else ""
        done, model = counted(self.described + self.before, "image"), self.model[:12]
        told = [f"{printable(str(gallery))}: {done} described by model {model}{dropped}"]
        if not self.finished:
            told.append(
                f"the gallery still uses its former model, since {counted(len(self.unread), 'image')} could not be "
                "described: bring their files back and run this again, or remove them with --drop"
            )
        if self.changed:
            more = ", ..." if len(self.changed) > _SHOWN else ""
            told.append(
                f"{counted(len(self.changed), 'face')} with labels by a hand in files that changed since; no other "
                f"model can tell whether they show the same people: look at {', '.join(self.changed[:_SHOWN])}{more}"
            )
        return [printable(line) for line in told]
