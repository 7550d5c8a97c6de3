"""What is wrong with one field of an input, and what to do about it."""

from msgspec import Struct


class FieldProblem(Struct, frozen=True):
    """`field` is a path such as `triggers[0].expression`; `problem` and `remedy` are sentences for people."""

    field: str
    problem: str
    remedy: str

    def under(self, prefix: str) -> "FieldProblem":
        """The same problem seen from an object that holds the field's owner at `prefix`."""
        joined = prefix if not self.field else f"{prefix}{'' if self.field.startswith('[') else '.'}{self.field}"
        return FieldProblem(joined, self.problem, self.remedy)
