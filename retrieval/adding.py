"""Files with new content into a gallery: the faces in them described, each content once, and labelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from faceedit.describes import Describes
from index.gallery import Face, Gallery, Kept, Labels, Photo
from index.labels import FILE, HAND
from index.values import Box, FloatArray, share_of
from retrieval.describing import Content, Made, describe_contents
from retrieval.known import Known
from retrieval.labelling import Labelling, handed_back, not_by_hand
from retrieval.one_file import Read
from retrieval.run_reports import IndexReport
from retrieval.same_faces import Seen, same_again, same_faces, same_places

_NEAR = 1.0  # pixels that the box of a face may be elsewhere and still be the same answer of the same detector


class Adding:
    """One run's. name_of: a file's path in the gallery."""

    def __init__(
        self,
        gallery: Gallery,
        describer: Describes,
        known: Known,
        labelling: Labelling,
        report: IndexReport,
        name_of: Callable[[Read], str],
    ) -> None:
        self._gallery, self._describer, self._known = gallery, describer, known
        self._labelling, self._report, self._name = labelling, report, name_of
        self._ready: Mapping[Content, Made] = {}
        self._looks: Mapping[int, FloatArray] = {}

    def describe_ahead(self, new: list[Read], made: Mapping[Content, Made]) -> None:
        """Describe each content that is not known, so that `add` need not. made: what was described elsewhere."""
        shared = self._shared(new)
        left = [file for file in new if (file.sha256, file.faces[0].number) not in shared]
        self._ready = {**made, **describe_contents(self._describer, left, made)}

    def add(self, new: list[Read]) -> None:
        """Describe each content once, and share it. Faces that wait to be described keep their ids."""
        made = self._made(new)
        again = [file for file in new if self._waits(file)]
        self._describe(again, made)
        new = [file for file in new if file not in again]
        if not new:
            return
        kept, names = self._handed_back(new), [self._name(file) for file in new]
        self._report.changed += sum(name in self._known.at for name in names)
        self._looks = self._looks_of(names)
        faces, descriptors = list[Face](), list[FloatArray]()
        returned, lost = list[int](), list[Face]()
        for file, name in zip(new, names, strict=True):
            own = [made[file.sha256, face.number] for face in file.faces]
            faces += self._faces(file, own, kept.get(name, []), returned, lost)
            descriptors += [one.descriptor for one in own]
        self._keep(lost)
        self._gallery.add(faces, np.stack(descriptors), replace=True, returned=returned)
        self._report.returned += len(returned)

    def _made(self, new: list[Read]) -> dict[Content, Made]:
        shared = self._shared(new)
        left = [file for file in new if (file.sha256, file.faces[0].number) not in shared]
        made = describe_contents(self._describer, left, self._ready)
        self._report.described += len(made)
        self._report.duplicates += sum(len(file.faces) for file in new) - len(made)
        return shared | made

    def _shared(self, new: list[Read]) -> dict[Content, Made]:
        """What is known already of the same faces in other files of the same content. Damage must not spread."""
        wanted = {one.sha256: one for one in new}
        faces = {content: some for content, some in self._known.by_content.items() if content in wanted}
        faces = {content: some for content, some in faces.items() if _are_those(some, wanted[content])}
        sound = self._gallery.sound_descriptors([face.id for some in faces.values() for face in some])
        some_sound = [face for some in faces.values() if all(one.id in sound for one in some) for face in some]
        return {(face.photo.sha256, face.number): Made(face.decision, sound[face.id]) for face in some_sound}

    def _waits(self, file: Read) -> bool:
        """Whether faces in it are known, and wait to be described again: those of a photograph that is another now are
        new ones."""
        name = self._name(file)
        if not self._known.waits(name):
            return False
        before = self._known.at[name]
        return before[0].photo.sha256 == file.sha256 or len(before) == len(file.faces) == 1

    def _describe(self, files: list[Read], made: Mapping[Content, Made]) -> None:
        """Describe faces that wait for it as their files are now: they keep their ids. Others of the same photo stay as
        they are; what is not found again goes."""
        faces, descriptors, lost = list[Face](), list[FloatArray](), list[int]()
        for file in files:
            name = self._name(file)
            before = self._known.at[name]
            waiting = {face.id for face in before} & self._known.waiting
            self._known.waiting -= waiting
            same = same_again if before[0].photo.sha256 == file.sha256 else same_faces
            for new, old in same([seen_as(face) for face in before], seen_in(file)).items():
                if before[old].id in waiting:
                    waiting.remove(before[old].id)
                    own, photo = made[file.sha256, file.faces[new].number], photo_of(name, file)
                    place = file.faces[new].place
                    labels = self._labelling.of_same(name, before[old], len(before) > 1)
                    faces.append(replace(before[old], photo=photo, labels=labels, decision=own.decision, place=place))
                    descriptors.append(own.descriptor)
            if waiting:
                lost += waiting
                self._report.warned.append((file.path, f"{len(waiting)} faces are not found in it again"))
        self._gallery.remove(lost, keep_labels=True)
        if faces:
            self._gallery.describe(faces, np.stack(descriptors))
            self._gallery.update_labels({face.id: face.labels for face in faces})

    def _handed_back(self, new: list[Read]) -> dict[str, list[Kept]]:
        """The labels that are kept for files whose content was pruned, or another's, before."""
        files = {self._name(file): file.sha256 for file in new}
        return handed_back(files, self._gallery.kept(list(files.values())))

    def _faces(
        self, file: Read, made: Sequence[Made], kept: list[Kept], returned: list[int], lost: list[Face]
    ) -> list[Face]:
        """The new faces of a file; added to: returned, the ids of kept labels that they have again; lost, faces of
        which a hand said something and that the file shows no more."""
        name, several = self._name(file), len(file.faces) > 1
        photo, seen = photo_of(name, file), seen_in(file, [one.descriptor for one in made])
        before = self._before(name, seen, lost)
        back = same_places([Seen(one.number, share_of(one.box, file.size)) for one in kept], seen)
        faces = []
        for place, (found, own) in enumerate(zip(file.faces, made, strict=True)):
            again = kept[back[place]] if place in back else None
            means = self._labelling.means(found.number, several)
            labels = self._labelling.of_new(name, before.get(place), again, means)
            returned += [again.id] if again is not None else []
            faces.append(Face(photo, labels, own.decision, number=found.number, place=found.place))
        return faces

    def _looks_of(self, names: Sequence[str]) -> Mapping[int, FloatArray]:
        """The descriptors of the faces that files of these names showed before, by id, as far as they are sound."""
        before = [face.id for name in names for face in self._known.at.get(name, [])]
        described = [id_ for id_ in before if id_ not in self._known.waiting]
        return self._gallery.sound_descriptors(described) if described else {}

    def _before(self, name: str, seen: Sequence[Seen], lost: list[Face]) -> dict[int, Labels]:
        """What was said of faces that a file of this name showed before, by their positions now."""
        before = self._known.at.get(name, [])
        if not before:
            return {}
        known = [seen_as(face, self._looks.get(face.id)) for face in before]
        same = same_faces(known, seen, self._describer.who)
        gone = [face for old, face in enumerate(before) if old not in same.values()]
        lost += [face for face in gone if HAND in face.labels.origins]
        placed = {new: before[old] for new, old in same_faces(known, seen).items() if new not in same}
        of_others = {new: not_by_hand(face.labels) for new, face in placed.items() if face in gone}
        same_labels = {new: before[old].labels for new, old in same.items()}
        return same_labels | {new: labels for new, labels in of_others.items() if FILE in labels.origins}

    def _keep(self, lost: Sequence[Face]) -> None:
        """What a hand said of faces whose photographs show others now is kept for when their content comes back."""
        if lost:
            self._report.others += [face.name for face in lost]
            self._gallery.remove([face.id for face in lost], keep_labels=True)


def photo_of(name: str, file: Read) -> Photo:
    """A file that was read, as a gallery keeps it."""
    return Photo(name, file.sha256, file.stamp, file.width, file.height, file.turn)


def seen_as(face: Face, descriptor: FloatArray | None = None) -> Seen:
    """A known face, to compare with others."""
    return Seen(face.number, share_of(face.box, (face.photo.width, face.photo.height)), descriptor)


def seen_in(file: Read, descriptors: Sequence[FloatArray] = ()) -> list[Seen]:
    """The faces of a file that was read."""
    shares = [share_of(box, file.size) for box in _boxes(file)]
    looks: list[FloatArray | None] = [*descriptors] or [None] * len(shares)
    numbers = [face.number for face in file.faces]
    return [Seen(n, share, look) for n, share, look in zip(numbers, shares, looks, strict=True)]


def _are_those(known: Sequence[Face], file: Read) -> bool:
    """Whether known faces of a content are those that were found in it now."""
    if [face.number for face in known] != [face.number for face in file.faces]:
        return False
    return all(_is_near(face.box, box) for face, box in zip(known, _boxes(file), strict=True))


def _boxes(file: Read) -> list[Box | None]:
    return [None if face.place is None else face.place.box for face in file.faces]


def _is_near(one: Box | None, two: Box | None) -> bool:
    if one is None or two is None:
        return one is two
    return max(abs(a - b) for a, b in zip(one, two, strict=True)) <= _NEAR
