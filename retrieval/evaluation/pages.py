"""Reports for people, from the templates beside this module: whatever a data set is called is escaped."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def rendered(template: str, **content: Any) -> str:
    """The text of a template with this content. Raises jinja2.UndefinedError when it names what is not there."""
    environment = Environment(
        loader=PackageLoader("retrieval.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    environment.filters["fixed"] = lambda number, digits: f"{number:.{digits}f}"
    environment.filters["plain"] = lambda number: "" if number is None else f"{number:g}"
    environment.filters["words"] = lambda name: str(name).replace("_", " ")
    return environment.get_template(template).render(**content)
