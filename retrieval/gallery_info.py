"""What a gallery is, whether it is sound, and how it can be searched, for people and machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceedit.describes import OWN
from faceedit.text import printable
from index.engines import FAISS
from index.files import saved_indexes
from index.gallery import Face, Gallery, Redescription
from index.search.plan import KINDS, Plan, size_text
from retrieval.folder import is_gone
from retrieval.tables import aligned, counted, held, shown

if TYPE_CHECKING:
    from index.care.copying import Copied
    from index.care.exchange import Exported
    from index.care.repair import Repair
    from index.care.verify import Verification
    from index.truth.address import Address

_FEW = 20  # lines that name what is missing


@dataclass(frozen=True)
class GalleryInfo:
    """gallery: its folder; images, people: how many; photos: with a face, without_face: that show none; problems: files
    that could not be read; kept: of how many pruned images the labels are kept; hidden: faces that were removed and
    stay away; persons: that faces were grouped into, ungrouped: faces that came since; image_root: what the images'
    paths start from; model: the digest of the one that described it, task, values, descriptor: what that one decides,
    and how many numbers it makes of an image; encoder: what says who it is, own or an encoder's name; vectors: what
    searches them; engine: how that does so, where it is none of this process, and lag: how many faces it does not know
    as they are; redescription: by another model, begun and not finished; bytes: on the disk; indexes: that are saved.
    """

    gallery: str
    images: int
    people: int
    photos: int
    without_face: int
    problems: int
    kept: int
    hidden: int
    persons: int
    ungrouped: int
    image_root: Path
    model: str
    task: str
    values: tuple[int, ...]
    descriptor: int
    encoder: str
    vectors: str
    engine: str
    lag: int
    redescription: Redescription | None
    bytes: int
    indexes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """What `json.dumps` takes."""
        under_way = asdict(self.redescription) if self.redescription else None
        plain = {"gallery": str(self.gallery), "image_root": str(self.image_root), "model": self.model[:12]}
        lists = {"values": list(self.values), "indexes": list(self.indexes), "redescription": under_way}
        return {**vars(self), **plain, **lists}

    @property
    def _how(self) -> str:
        """How it is searched, for people."""
        if self.vectors == FAISS:
            return ", ".join(self.indexes) or "no saved index: the next search makes one"
        waits = f"; {counted(self.lag, 'change')} not there yet, searched in the database" if self.lag else ""
        return (self.engine or "nothing is built there yet: `facesearch index` does so") + waits

    def lines(self) -> list[str]:
        """The same for people."""
        there = "" if self.image_root.is_dir() else "  (not there now)"
        unread = f"; {counted(self.problems, 'file')} unread" if self.problems else ""
        without = f"; {counted(self.without_face, 'photograph')} without a face" if self.without_face else ""
        what = f"{self.images:,}" if self.images == self.photos else held(self.images, self.photos)
        rows = [
            ["gallery", shown(self.gallery)],
            ["images", f"{what} of {self.people:,} people{without}{unread}"],
            ["files below", f"{shown(self.image_root)}{there}"],
            ["described by", f"model {self.model[:12]} for {self.task}, {self.descriptor:,} numbers an image"],
            ["who it is", f"by {_named(self.encoder)}"],
            ["on disk", size_text(self.bytes)],
            ["searched by", f"{self.vectors}; {self._how}"],
        ]
        if self.persons:
            since = f"; {counted(self.ungrouped, 'face')} came since" if self.ungrouped else ""
            rows.append(["grouped", f"into {counted(self.persons, 'person')}{since}; `gallery people` lists them"])
        if self.kept:
            kept = f"what a hand said of {counted(self.kept, 'image')} that were pruned"
            rows.append(["kept", f"{kept}; `gallery remove --kept` forgets it"])
        if self.hidden:
            rows.append(["hidden", f"{counted(self.hidden, 'face')} left out by `index`; `gallery hidden` lists them"])
        if self.redescription is not None:
            by = f"model {self.redescription.model_digest[:12]}, who it is by {_named(self.redescription.encoder)}"
            next_one = f"by {by}: {self.redescription.staged:,}"
            how = "`gallery redescribe --model` with that model goes on, --give-up forgets it"
            rows.append(["redescribed", f"{next_one} of {counted(self.images, 'image')} described; {how}"])
        return aligned([[what, printable(said)] for what, said in rows])


def face_details(gallery: Gallery, face: Face) -> dict[str, Any]:
    """What is known of a face besides its labels."""
    file, stamp = gallery.config.image_root / face.path, face.photo.stamp
    errors = zip(gallery.config.values, face.decision.errors, strict=True)
    return {
        "file": str(file),
        "there": not is_gone(file),
        "sha256": face.photo.sha256,
        "bytes": stamp.size,
        "errors": {str(value): round(error, 1) for value, error in errors if error is not None},
        **_place(face),
    }


def _place(face: Face) -> dict[str, Any]:
    """Where it lies in its photograph, if it is a part of one."""
    if face.place is None:
        return {}
    photo = {"width": face.photo.width, "height": face.photo.height, "turned": 90 * face.photo.turn}
    return {"landmarks": list(face.place.landmarks), "score": face.place.score, **photo}


def missing_files(gallery: Gallery, root: Path) -> int:
    """How many photos would not be there if they lay below this root."""
    return sum(is_gone(root / path) for page in gallery.photos() for _, path in page)


def about(gallery: Gallery) -> GalleryInfo:
    """What the gallery holds, where, described by which model, and how it is searched."""
    config = gallery.config
    return GalleryInfo(
        gallery=gallery.name,
        images=len(gallery),
        people=gallery.count_identities(),
        photos=gallery.count_photos(),
        without_face=gallery.count_faceless(),
        problems=sum(not one.faceless for one in gallery.problems()),
        kept=gallery.count_kept(),
        hidden=gallery.hidden.count(),
        persons=gallery.people.count(),
        ungrouped=gallery.people.count_new(),
        image_root=config.image_root,
        model=config.model_digest,
        task=config.attribute,
        values=config.values,
        descriptor=config.descriptor_size,
        encoder=config.encoder or OWN,
        vectors=config.vectors,
        engine=gallery.built,
        lag=gallery.lag,
        redescription=gallery.redescribing.under_way(),
        bytes=gallery.bytes,
        indexes=tuple(path.name for path in saved_indexes(gallery.folder)),
    )


def _named(encoder: str | None) -> str:
    return "the model's own network" if encoder in (None, OWN) else f"the encoder {encoder}"


def copied_lines(done: Copied, source: Address, target: Address) -> list[str]:
    """What a copy has made."""
    lines = [f"{shown(target)}: {counted(done.faces, 'image')}, as in {shown(source)}"]
    if not done.rows:
        return [*lines, "it was there already: every row and descriptor was compared"]
    return [*lines, *([f"{counted(done.before, 'row')} had been copied before, {done.rows:,} now"] * bool(done.before))]


def copy_warnings(done: Copied, source: Address) -> list[str]:
    """What is to be known of a copy."""
    anew = ["what had been copied before was of another state, and was copied anew"] * done.anew
    changed = [
        f"{shown(source)} has been written to meanwhile: the copy is as it was when copying began"
    ] * done.changed
    return anew + changed


def not_copied_lines(done: Exported) -> list[str]:
    """Which pictures an export is without: the first of them, and how many."""
    if not done.missing:
        return []
    return [
        *(f"not copied: {printable(path)}" for path in done.missing[:_FEW]),
        f"warning: the files of {counted(len(done.missing), 'image')} were not copied: they are not there, or not the "
        "pictures that were described",
    ]


def verification_lines(found: Verification) -> list[str]:
    """What was compared, and everything that is wrong, for people."""
    waiting = f"{counted(found.waiting, 'image')} to be described again: run `facesearch index`"
    return [
        f"{counted(found.images, 'image')}: {found.checked:,} descriptors agree with their hash",
        *([waiting] if found.waiting else []),
        found.index,
        *(["sound"] if found.sound else map(printable, found.findings)),
    ]


def repair_lines(done: Repair) -> list[str]:
    """What was mended, and what is left to do, for people."""
    lines = [f"look at its labels, which may be damaged: {printable(path)}" for path in done.doubtful]
    lines += [f"to be described again: {printable(path)}" for path in done.waiting]
    again = "; run `facesearch index` to describe them" if done.waiting else ""
    lines.append(f"{counted(len(done.waiting), 'image')} to be described again{again}")
    if done.staged:
        lines.append(
            f"{done.staged:,} damaged descriptions by the next model will be made anew by `gallery redescribe`"
        )
    if done.unhidden:
        lines.append(
            f"{counted(done.unhidden, 'hidden face')} forgotten: the next run over their folder finds them again"
        )
    if done.settings:
        lines.append("search.json was damaged and is deleted: give --max-memory, --max-ms and --recall again")
    return lines


def plan_lines(made: Plan) -> list[str]:
    """The ways of searching that a plan compared, and why it chose one, for people."""
    table = [["", "search", "memory", "time", "to build", ""]]
    for option in made.options:
        mark = "*" if option is made.chosen else ""
        about = [size_text(option.memory), f"{option.milliseconds:.1f} ms", f"{option.build_seconds:.0f} s"]
        table.append([mark, option.kind, *about, option.against or KINDS[option.kind]])
    return [
        f"{counted(made.count, 'image')}, descriptors of {made.size:,} numbers, {made.dimensions} for a first look; "
        f"within {made.requirements.text}:",
        *aligned(table),
        "times are estimates; an index is measured when it is built",
    ]
