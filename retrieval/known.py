"""What a gallery knows of some files: the faces in them, and those in others of the same content."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from index.gallery import Face, Gallery
from retrieval.checks import is_unicode
from retrieval.one_file import Read


class Known:
    """waiting: ids of faces that are to be described again, also of other files; at: by path, all faces of a photo, by
    number; by_content: by sha256, those of one photo whose description others of that content may share; photos: by
    path, the faces of all photos of such contents."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self.waiting = gallery.undescribed()
        self.at: dict[str, list[Face]] = {}
        self.by_content: dict[str, list[Face]] = {}
        self.photos: dict[str, list[Face]] = {}

    def look(self, files: Iterable[tuple[str, Read]]) -> None:
        """Ask the gallery about these files, each with its path there."""
        files = list(files)
        self.at = self._gallery.all_faces_at([name for name, _ in files if is_unicode(name)])
        self.by_content, self.photos = {}, {}
        for face in self._gallery.faces_of([file.sha256 for _, file in files if file.sha256]):
            self.photos.setdefault(face.path, []).append(face)
        for faces in self.photos.values():
            if self.waiting.isdisjoint(face.id for face in faces):
                faces.sort(key=lambda face: face.number)
                self.by_content[faces[0].photo.sha256] = faces

    def look_again(self, files: Iterable[tuple[str, Read]]) -> None:
        """The same, where others may have described faces that waited."""
        self.look(files)
        if any(map(self.waits, self.at)):
            self.waiting = self._gallery.undescribed()

    def moved(self, files: Iterable[tuple[str, Read]], is_away: Callable[[Face], bool]) -> dict[str, Face]:
        """By name those of these files that are known pictures which are not at their own names any more, each of which
        is one file's."""
        found = dict[str, Face]()
        for name, file in files:
            taken = {face.id for face in found.values()} | self.waiting
            same = (faces[0] for faces in self.photos.values() if faces[0].photo.sha256 == file.sha256)
            away = next((face for face in same if face.id not in taken and is_away(face)), None)
            if away is not None:
                found[name] = away
        return found

    def has(self, name: str, content: str | None) -> bool:
        """Whether the gallery has described a file of this name and content."""
        faces = self.at.get(name, [])
        return bool(faces) and faces[0].photo.sha256 == content and not self.waits(name)

    def waits(self, name: str) -> bool:
        """Whether a face in the file of this name is to be described again."""
        return not self.waiting.isdisjoint(face.id for face in self.at.get(name, []))
