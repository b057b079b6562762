"""Every command of `facesearch gallery` by name."""

from __future__ import annotations

from typer import Typer

from cli.gallery import correct, hide, keep, look, move, people

group = Typer(help="Look at a gallery, correct it, and check it.", no_args_is_help=True, rich_markup_mode=None)
group.command("create")(keep.create)
group.command("info")(look.info)
group.command("list")(look.list_images)
group.command("show")(look.show)
group.command("label")(correct.label)
group.command("remove")(correct.remove)
group.command("hidden")(hide.hidden)
group.command("unhide")(hide.unhide)
group.add_typer(people.group, name="people")
group.command("problems")(look.problems)
group.command("verify")(keep.verify)
group.command("repair")(keep.repair)
group.command("compact")(keep.compact)
group.command("redescribe")(keep.redescribe)
group.command("copy")(move.copy)
group.command("export")(move.export)
group.command("import")(move.import_)
group.command("relocate")(move.relocate)
group.command("plan")(keep.plan)
