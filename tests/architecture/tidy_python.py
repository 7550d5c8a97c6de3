"""Rules for Python files, each a function from a parsed module to its findings."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from statistics import median
from typing import NamedTuple, TypeAlias

from tests.architecture.findings import Finding

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
FUNCTION_LINES_MEDIAN_MAX = 10
POSITIONAL_PARAMETERS_MAX = 6
PORT_METHODS_MAX = 8
BANNED_WORDS = re.compile(r"(?:^|_)(?:utils?|common|helpers?|managers?|misc)(?:_|$)")
BANNED_CLASS_WORDS = re.compile(r"(?:Utils?|Common|Helpers?|Managers?)(?![a-z])")
ORACLE = "rota.storage.memory."
VERDICT_WORDS = re.compile(r"^(?:assert|expect|check|compare|exercise|prove|validate|verify|wait)(?:_|$)")
SQL_START = re.compile(r"\s*(?:SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|WITH\s+\w+\s+AS\s)")

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """A Python file: its path below the root, its text, and its tree."""

    path: str
    text: str
    tree: ast.Module

    def is_under(self, *directories: str) -> bool:
        return any(self.path.startswith(f"{directory}/") for directory in directories)

    def functions(self) -> Iterator[tuple[str, Function]]:
        """Every function with its qualified name, outer ones first."""
        yield from qualified_functions(self.tree, "")


def parse(path: str, text: str) -> Module:
    return Module(path, text, ast.parse(text, path))


def qualified_functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + child.name, child
            yield from qualified_functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.ClassDef):
            yield from qualified_functions(child, f"{prefix}{child.name}.")
        else:
            yield from qualified_functions(child, prefix)


def lines_of(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def is_declaration(function: Function) -> bool:
    """Only a docstring and `...`: a method of a Protocol, which says nothing about how long code is."""
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in function.body)


def long_file(module: Module) -> Iterator[Finding]:
    lines = module.text.count("\n")
    if lines > FILE_LINES_MAX:
        yield Finding("long-file", module.path, f"{lines} lines, at most {FILE_LINES_MAX}", lines)


def long_function(module: Module) -> Iterator[Finding]:
    for name, function in module.functions():
        lines = lines_of(function)
        if lines > FUNCTION_LINES_MAX:
            yield Finding(
                "long-function", f"{module.path}::{name}", f"{lines} lines, at most {FUNCTION_LINES_MAX}", lines
            )


def many_parameters(module: Module) -> Iterator[Finding]:
    if module.is_under("tests"):
        return  # a test asks for as many fixtures as it needs
    for name, function in module.functions():
        names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
        count = len([name for name in names if name not in {"self", "cls"}])
        if module.is_under("src/rota/cli"):
            count -= len(function.args.defaults)  # options of a command, which typer hands in by name
        if count > POSITIONAL_PARAMETERS_MAX:
            message = f"{count} positional parameters, at most {POSITIONAL_PARAMETERS_MAX}; make an options object"
            yield Finding("many-parameters", f"{module.path}::{name}", message, count)


def vague_name(module: Module) -> Iterator[Finding]:
    parts = module.path.removesuffix(".py").split("/")
    if any(BANNED_WORDS.search(part) for part in parts):
        yield Finding("vague-name", module.path, "name the module for the idea that it holds")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef) and BANNED_CLASS_WORDS.search(node.name):
            yield Finding("vague-name", f"{module.path}::{node.name}", "name the class for what it decides or holds")


def no_docstring(module: Module) -> Iterator[Finding]:
    if module.is_under("src", "scripts", "bench") and module.tree.body and not ast.get_docstring(module.tree):
        yield Finding("no-docstring", module.path, "say what the module decides and what it may not do")


def async_in_the_core(module: Module) -> Iterator[Finding]:
    if not module.is_under("src/rota/domain", "src/rota/core"):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield Finding("async-in-the-core", f"{module.path}:{node.lineno}", "decide on values; act in rota.services")


def wide_port(module: Module) -> Iterator[Finding]:
    if not module.is_under("src/rota/ports"):
        return
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ClassDef) or "Protocol" not in {
            ast.unparse(base).split("[")[0] for base in node.bases
        }:
            continue
        count = sum(isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) for member in node.body)
        if count > PORT_METHODS_MAX:
            message = f"{count} methods, at most {PORT_METHODS_MAX}; split the port by need"
            yield Finding("wide-port", f"{module.path}::{node.name}", message, count)


def unfinished(module: Module) -> Iterator[Finding]:
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.Name)
            and node.id in {"NotImplementedError", "NotImplemented"}
            and module.is_under("src")
        ):
            yield Finding("unfinished", f"{module.path}:{node.lineno}", "build it, or leave it out")


def broad_catches(module: Module) -> Iterator[str]:
    """The places that catch everything and do not raise it again; only a listed supervisor may."""
    for name, function in module.functions():
        for node in ast.walk(function):
            if isinstance(node, ast.ExceptHandler) and catches_everything(node) and not reraises(node):
                yield f"{module.path}::{name}"
                break


def catches_everything(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(node, ast.Name) and node.id in {"Exception", "BaseException"} for node in caught)


def reraises(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise)


def broad_catch(modules: Iterable[Module], supervisors: Mapping[str, str]) -> Iterator[Finding]:
    """`except Exception` outside a supervisor, and supervisors that are listed in vain."""
    catching = {place for module in modules if module.is_under("src") for place in broad_catches(module)}
    for place in sorted(catching - supervisors.keys()):
        yield Finding(
            "broad-catch", place, "catch what can happen here; only a supervisor listed in supervisors.txt catches all"
        )
    for place in sorted(supervisors.keys() - catching):
        yield Finding("broad-catch", place, "supervisors.txt lists it in vain; remove the line")


def sql_in_python(module: Module) -> Iterator[Finding]:
    """Statements belong into queries/, where the rules for SQL see them. The footing has a few that no store runs."""
    footing = {
        f"src/rota/storage/postgres/{name}.py"
        for name in ("connections", "embedded", "login_roles", "logins", "migrator")
    }
    if not module.is_under("src") or module.path in footing:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL_START.match(node.value):
            yield Finding(
                "sql-in-python", f"{module.path}:{node.lineno}", "one statement per file, in storage/postgres/queries"
            )


def no_verdict(module: Module) -> Iterator[Finding]:
    """A test that asserts nothing, or that asks not to be run."""
    if not module.is_under("tests"):
        return
    for name, function in module.functions():
        if function.name.startswith("test_") and not any(gives_verdict(node) for node in ast.walk(function)):
            yield Finding("no-verdict", f"{module.path}::{name}", "a test must be able to fail: assert something")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("pytest.") and SKIPS.search(node.attr):
            yield Finding("no-verdict", f"{module.path}:{node.lineno}", "no test is skipped or expected to fail")


SKIPS = re.compile(r"^(?:skip|skipif|xfail|importorskip)$")


def gives_verdict(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return called in {"raises", "warns", "fail"} or bool(VERDICT_WORDS.match(called))


RULES: tuple[Callable[[Module], Iterator[Finding]], ...] = (
    long_file,
    long_function,
    many_parameters,
    vague_name,
    no_docstring,
    async_in_the_core,
    wide_port,
    unfinished,
    sql_in_python,
    no_verdict,
)


def dotted_name(path: str) -> str:
    return path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def modules_named_in(module: Module) -> Iterator[str]:
    """What the module imports, and what it names in a text, as `python -m` wants it. May hold names of non-modules."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("rota."):
            yield node.value


def dead_module(modules: Iterable[Module], entry_points: frozenset[str]) -> Iterator[Finding]:
    """Modules of src that nothing in src asks for; the memory store, which is the oracle, is asked for by tests."""
    everything = list(modules)
    sources = [module for module in everything if module.is_under("src")]
    asked = {name for module in sources for name in modules_named_in(module) if name != dotted_name(module.path)}
    asked |= {name for module in everything for name in modules_named_in(module) if name.startswith(ORACLE)}
    for module in sources:
        name = dotted_name(module.path)
        if module.path.endswith("/__init__.py") or name in asked or name in entry_points:
            continue
        yield Finding("dead-module", module.path, "no code asks for this module; use it or remove it")


def median_function_lines(modules: Iterable[Module]) -> float:
    """Over all functions with a body of their own; 0 where there is none."""
    sizes = [
        lines_of(function) for module in modules for _, function in module.functions() if not is_declaration(function)
    ]
    return median(sizes) if sizes else 0
