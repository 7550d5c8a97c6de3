"""Finds the SQL statements of the stores: one statement per file, named `<aggregate>/<verb_noun>`.

A store binds its statements when its module is loaded (`CLAIM_BATCH = query("runs/claim_batch")`), so a missing or
empty file stops the process at its start and never in the middle of a transaction. Files are read through
`importlib.resources`, so that they are found in an installed wheel as in a checkout. Nothing is substituted into them:
values travel as parameters only.
"""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from rota.domain.errors import Bug


class QueryFiles:
    """The statements below one directory `<root>/<aggregate>/<verb_noun>.sql`."""

    def __init__(self, root: Traversable) -> None:
        self._root = root

    def names(self) -> tuple[str, ...]:
        """Every statement's name, sorted."""
        return tuple(
            sorted(
                f"{aggregate.name}/{file.name.removesuffix('.sql')}"
                for aggregate in self._root.iterdir()
                if aggregate.is_dir()
                for file in aggregate.iterdir()
                if file.name.endswith(".sql")
            )
        )

    def text(self, name: str) -> str:
        """The statement called *name*, with its leading comment. Raises Bug when there is none."""
        aggregate, separator, verb_noun = name.partition("/")
        if not separator or not verb_noun or "/" in verb_noun:
            message = f"query name {name!r} is not of the form '<aggregate>/<verb_noun>'"
            raise Bug(message)
        try:
            text = (self._root / aggregate / f"{verb_noun}.sql").read_text(encoding="utf-8").strip()
        except (FileNotFoundError, NotADirectoryError) as error:
            message = f"there is no query file '{name}.sql'; known are: {', '.join(self.names()) or 'none'}"
            raise Bug(message) from error
        if not text:
            message = f"query file '{name}.sql' is empty"
            raise Bug(message)
        return text


PACKAGED_QUERIES = QueryFiles(files("rota.storage.postgres") / "queries")


@cache
def query(name: str) -> str:
    """The packaged statement `queries/<name>.sql`. Raises Bug when there is none."""
    return PACKAGED_QUERIES.text(name)
