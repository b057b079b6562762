"""Hidden faces: those of files that are read stay away, and somebody may have them back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from faceedit.describes import Describes
from faceedit.errors import UsageError
from faceedit.text import printable
from index.gallery import Face, Gallery
from index.paths import path_forms
from index.values import Hidden
from retrieval.adding import Adding, photo_of, seen_as, seen_in
from retrieval.describing import describe_contents
from retrieval.folder import is_gone
from retrieval.known import Known
from retrieval.labelling import ONLY, Labelling
from retrieval.levels import LAST
from retrieval.one_file import Read
from retrieval.reading import ReadsFiles
from retrieval.run_reports import IndexReport, unsearched
from retrieval.same_faces import Seen, same_places
from retrieval.tables import counted

_ALL = "every face in {} is hidden: `facesearch gallery unhide` brings it back"


@dataclass
class BroughtBack:
    """faces: ids of those that are in the gallery again; waiting: names of others that are not hidden any more, but
    whose file is not there, or is another now: they come with the next run that finds them; stay: of those that stay
    hidden, since their photograph, which is in the gallery, cannot be read now; not_searched: why the index could not
    be built anew, where there was one."""

    faces: list[int] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    stay: list[str] = field(default_factory=list)
    not_searched: Exception | None = None

    def lines(self) -> list[str]:
        """The same for people."""
        told = [f"{counted(len(self.faces), 'face')} back in the gallery"]
        if self.waiting:
            told.append(
                f"{counted(len(self.waiting), 'face')} not hidden any more, to come when `facesearch index` finds what "
                "was there: the file has gone, or is another now"
            )
        return told

    def warnings(self) -> list[str]:
        """What was not done, and why."""
        stay = (f"{name} stays hidden: its file cannot be read now; bring it back first" for name in self.stay)
        return [*map(printable, stay), *unsearched(self.not_searched)]


class Hiding:
    """What of the files of a run stays away. known: was asked about them; name_of: a file's path in the gallery; but:
    ids of hidden faces that count no more."""

    def __init__(
        self,
        gallery: Gallery,
        known: Known,
        report: IndexReport,
        name_of: Callable[[Read], str],
        but: Collection[int] = (),
    ) -> None:
        self._but = but
        self._gallery, self._known, self._report, self._name = gallery, known, report, name_of

    def without(self, files: list[Read]) -> list[Read]:
        """The files without the faces that are hidden; the others keep their numbers. What is remembered of those that
        are found follows their files."""
        hidden = self._gallery.hidden.count() > 0  # also by others, since the run began
        return [self._shown(file, rows) for file, rows in self._rows(files)] if hidden else files

    def _rows(self, files: list[Read]) -> Iterable[tuple[Read, list[Hidden]]]:
        """With each file what is hidden of its content, of what it was before, and of what was at its path."""
        names = [self._name(file) for file in files]
        before = [self._known.at[name][0].photo.sha256 if name in self._known.at else "" for name in names]
        contents = {file.sha256 for file in files} | set(before)
        found = [one for one in self._gallery.hidden.of(contents - {""}, names) if one.id not in self._but]
        for file, name, content in zip(files, names, before, strict=True):
            of_it = {file.sha256, content} - {""} if file.faces else set[str]()
            yield file, [one for one in found if one.sha256 in of_it or (file.faces and one.path == name)]

    def _shown(self, file: Read, rows: list[Hidden]) -> Read:
        name = self._name(file)
        if not rows or self._known.has(name, file.sha256):
            return file
        hidden = hidden_faces(file, name, rows, self._known.at.get(name, []))
        self._follow(file, name, rows, hidden)
        self._report.hidden += len(hidden)
        left = tuple(face for place, face in enumerate(file.faces) if place not in hidden)
        if left:
            return replace(file, faces=left)
        return replace(file, faces=(), reason=_ALL.format(file.path), lasting=True, faceless=True)

    def _follow(self, file: Read, name: str, rows: Sequence[Hidden], hidden: Mapping[int, Hidden]) -> None:
        """Remember them as they are now: in this file, in place of where it was before, unless it is there still."""
        others = {place: one for place, one in hidden.items() if (one.path, one.sha256) != (name, file.sha256)}
        there = {one.number for one in rows if (one.path, one.sha256) == (name, file.sha256)}
        shares = [one.share for one in seen_in(file)]
        now = [
            Hidden(name, file.sha256, file.faces[place].number, shares[place], one.since)
            for place, one in others.items()
        ]
        root = self._gallery.config.image_root
        past = [one.id for one in others.values() if one.path == name or is_gone(root / one.path)]
        self._gallery.hidden.change(past, [one for one in now if one.number not in there])


def hidden_faces(file: Read, name: str, rows: Sequence[Hidden], before: Sequence[Face]) -> dict[int, Hidden]:
    """Which of these hidden faces the faces of a file are, by their positions: of its own content by place and number;
    of what else was at its path (name) by place alone, unless faces that are known there (before) say that it is
    another photograph."""
    own = sorted((one for one in rows if one.sha256 == file.sha256), key=lambda one: one.path != name)
    seen = seen_in(file)
    found = {new: own[old] for new, old in same_places([_seen(one) for one in own], seen).items()}
    others = [one for one in rows if one.sha256 != file.sha256 and one.share is not None]
    if others and file.size != (0, 0) and not _is_another(file, before):
        same = same_places([_seen(one) for one in others], seen)
        found |= {new: others[old] for new, old in same.items() if new not in found}
    return found


def _seen(hidden: Hidden) -> Seen:
    return Seen(hidden.number, hidden.share)


def _is_another(file: Read, before: Sequence[Face]) -> bool:
    """Whether no face that was known at a file's path is in its place any more."""
    placed = [seen_as(face) for face in before if face.place is not None and face.photo.sha256 != file.sha256]
    return bool(placed) and not same_places(placed, seen_in(file))


def meant(gallery: Gallery, names: Sequence[str]) -> list[Hidden]:
    """The hidden faces that are named as `Hidden.name`, or by the paths of their photos, that is all of one; and the
    same ones of copies. Raises UsageError for what names none."""
    every = gallery.hidden.all()
    found = set[tuple[str, int]]()
    for name in names:
        forms = set(path_forms(name))
        some = [one for one in every if one.name in forms] or [one for one in every if one.path in forms]
        if not some:
            raise UsageError(f"no hidden face is named {name!r}: `facesearch gallery hidden` lists them")
        found |= {(one.sha256, one.number) for one in some}
    return [one for one in every if (one.sha256, one.number) in found]


def bring_back(gallery: Gallery, describer: Describes, hidden: Sequence[Hidden], reader: ReadsFiles) -> BroughtBack:
    """Let hidden faces be shown again: they are described at once where their files are what they were. What a hand
    said of them was erased when they were removed."""
    coming, by_path = _Coming(gallery, describer, frozenset(one.id for one in hidden)), dict[str, list[Hidden]]()
    for one in hidden:
        by_path.setdefault(one.path, []).append(one)
    root = gallery.config.image_root
    with gallery.writing():
        for files in reader.ahead([root / path for path in by_path], describer.batch):
            for file in files:
                coming.of_path(file, by_path[file.path.relative_to(root).as_posix()])
    return coming.done


class _Coming:
    """Hidden faces on their way back into a gallery. ids: of all of them, also of copies."""

    def __init__(self, gallery: Gallery, describer: Describes, ids: Collection[int]) -> None:
        self._gallery, self._describer, self._ids = gallery, describer, ids
        whose = gallery.crops.identity_of or ONLY
        self._labelling = Labelling(gallery.config.image_root, None, gallery.identity_level or LAST, whose)
        self.done = BroughtBack()

    def of_path(self, file: Read, hidden: list[Hidden]) -> None:
        """Those of one path, as its file is now. Where it cannot be read, no run would look at a photo that is there:
        then they stay hidden."""
        name = hidden[0].path
        there = self._gallery.all_faces_at([name]).get(name, [])
        if there and not file.faces:
            self.done.stay += [one.name for one in hidden]
            return
        found = hidden_faces(file, name, hidden, there)
        changed = bool(there) and there[0].photo.sha256 != file.sha256  # the next run describes it anew
        self.done.waiting += [one.name for one in hidden if changed or one not in found.values()]
        if found and not there:
            self.done.faces += self._added(file, name)
        elif found and not changed:
            taken = {face.number for face in there}
            back = tuple(file.faces[place] for place in sorted(found) if file.faces[place].number not in taken)
            self.done.faces += self._beside(replace(file, faces=back), name)
        self._gallery.hidden.change([one.id for one in hidden])  # last: else nobody would look again after a crash

    def _added(self, file: Read, name: str) -> list[int]:
        """A photo that is not in the gallery comes with all its faces but those that are hidden still."""
        known, report = Known(self._gallery), IndexReport()
        known.look([(name, file)])
        shown = Hiding(self._gallery, known, report, lambda _: name, self._ids).without([file])
        if not shown[0].faces:  # what was at its path hides them still
            return []
        Adding(self._gallery, self._describer, known, self._labelling, report, lambda _: name).add(shown)
        return self._gallery.all_ids_of([name])[name]

    def _beside(self, file: Read, name: str) -> list[int]:
        """Faces beside others of their photo."""
        if not file.faces:
            return []
        made = describe_contents(self._describer, [file])
        faces = [
            Face(
                photo_of(name, file),
                self._labelling.of_new(name, None, None, self._labelling.means(one.number, True)),
                made[file.sha256, one.number].decision,
                number=one.number,
                place=one.place,
            )
            for one in file.faces
        ]
        descriptors = np.stack([made[file.sha256, one.number].descriptor for one in file.faces])
        return self._gallery.add_beside(faces, descriptors)
