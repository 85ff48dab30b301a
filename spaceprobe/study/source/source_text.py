"""What counts of a file's source as text, at the grain of top-level definitions; see `code_version`."""

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = "spaceprobe"

STATEMENTS = "<statements>"
"""Stands for the statements of a module that count whatever is read from it."""

Place = tuple[str, str]
"""A module, and a name at its top level, ``*`` for all of them, or `STATEMENTS`."""

Chain = tuple[str, ...]
"""A name and the attributes read from it: ``a.b.c``."""

Imports = dict[str, list[tuple[str, str | None]]]
"""By the name that is bound: from which module of the package, and what; None for the module itself."""


class Definition(NamedTuple):
    """What a place says, and which places it reads."""

    digest: str
    reads: frozenset[Place]


class Module:
    """A parsed file: which statements define a name, which stand for themselves, what it imports."""

    def __init__(self, name: str, path: Path) -> None:
        """Parse a file of a module of that name.

        Raises:
            ValueError: it has a star import from this package.
        """
        self.name = name
        self.path = path
        self.package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        self.statements: defaultdict[str, list[ast.stmt]] = defaultdict(list)
        self.imports: Imports = defaultdict(list)
        self.definitions: dict[str, Definition] = {}
        self.reached: dict[Place, frozenset[Place]] = {}
        for statement in ast.parse(path.read_bytes(), str(path)).body:
            self._sort(statement)

    def _sort(self, statement: ast.stmt) -> None:
        otherwise = _type_checking(statement)
        if otherwise is not None:
            for other in otherwise:
                self._sort(other)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            self._import(statement)
        elif not _is_idle(statement):
            names = _defined_names(statement)
            for name in names or [STATEMENTS]:
                self.statements[name].append(statement)
            if not names:
                self._bind_within(statement)

    def _bind_within(self, statement: ast.stmt) -> None:
        """Note the names that a statement with a body binds; it counts anyway, so they add no text."""
        for node in ast.walk(statement):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.statements.setdefault(node.name, [])
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.statements.setdefault(node.id, [])
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)

    def _import(self, statement: ast.Import | ast.ImportFrom) -> None:
        for bound, single, target in _imported(statement, self.package):
            if bound == "*" and target is not None:
                raise ValueError(
                    f"{self.path}:{statement.lineno}: a star import from {target[0]} hides which code is "
                    "used: import by name"
                )
            self.statements[STATEMENTS if bound == "*" else bound].append(single)
            if target is not None:
                self.imports[bound].append(target)


class Reader:
    """Writes what counts of statements as text, noting the chains of names and the imports in them.

    The text is that of `ast`, without positions and without fields that are empty, so that a Python whose
    syntax trees have more fields gives the same.
    """

    def __init__(self, package: str, is_settings: Callable[[ast.ClassDef], bool]) -> None:
        """Take the package that relative imports start from, and which classes are sections of a study."""
        self.text: list[str] = []
        self.chains: set[Chain] = set()
        self.imports: Imports = defaultdict(list)
        self._package = package
        self._is_settings = is_settings
        self._scope = ""  # the innermost: "function", "class", "settings"
        self._keeps_annotations = False

    def write(self, value: Any) -> None:
        """Write a node, a list of nodes, or a value of a field."""
        if isinstance(value, list):
            self.text.append("[")
            for item in value:
                self.write(item)
            self.text.append("]")
        elif isinstance(value, ast.AST):
            self._HANDLERS.get(type(value), Reader._plain)(self, value)
        else:
            self.text.append(f"{value!r},")

    def _plain(self, node: ast.AST, leave_out: tuple[str, ...] = ("ctx", "kind", "simple")) -> None:
        self.text.append(type(node).__name__ + "(")
        for field in node._fields:
            value = getattr(node, field, None)
            if value is not None and value != [] and field not in leave_out:
                self.text.append(field + "=")
                self.write(value)
        self.text.append(")")

    def _name(self, node: ast.Name) -> None:
        self.chains.add((node.id,))
        self.text.append(node.id + ",")

    def _attribute(self, node: ast.Attribute) -> None:
        chain = chain_of(node)
        if chain is None:
            self._plain(node)
        else:
            self.chains.add(chain)
            self.text.append(".".join(chain) + ",")

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for bound, _, target in _imported(node, self._package):
            if target is not None:
                self.imports[bound].append(target)
        self._plain(node)

    def _statement(self, node: ast.Expr | ast.If) -> None:
        otherwise = _type_checking(node)
        if otherwise is not None:
            for other in otherwise:
                self.write(other)
        elif not _is_idle(node):
            self._plain(node)

    def _annotated(self, node: ast.AnnAssign) -> None:
        if self._scope == "class" or (self._scope == "settings" and not _is_field(node)):
            self._plain(node)
        elif self._scope != "settings" and node.value is not None:
            self._plain(ast.Assign([node.target], node.value))

    def _argument(self, node: ast.arg) -> None:
        self._plain(node, () if self._keeps_annotations else ("annotation",))

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        outside = self._scope, self._keeps_annotations
        self._scope, self._keeps_annotations = "function", bool(node.decorator_list)
        self._plain(node, () if node.decorator_list else ("returns",))
        self._scope, self._keeps_annotations = outside

    def _class(self, node: ast.ClassDef) -> None:
        outside = self._scope
        self._scope = "settings" if self._is_settings(node) else "class"
        self._plain(node)
        self._scope = outside

    _HANDLERS: Mapping[type[ast.AST], Callable[["Reader", Any], None]] = {
        **{ast.Name: _name, ast.Attribute: _attribute, ast.Import: _import, ast.ImportFrom: _import},
        **{ast.Expr: _statement, ast.If: _statement, ast.AnnAssign: _annotated, ast.arg: _argument},
        **{ast.FunctionDef: _function, ast.AsyncFunctionDef: _function, ast.ClassDef: _class},
    }


def is_ours(module: str) -> bool:
    """Return whether a module is this package or in it, by its name."""
    return module == PACKAGE or module.startswith(PACKAGE + ".")


def chain_of(node: ast.expr) -> Chain | None:
    """Return the chain of ``a.b.c``; None for an expression that is none."""
    rest: list[str] = []
    while isinstance(node, ast.Attribute):
        rest.append(node.attr)
        node = node.value
    return (node.id, *reversed(rest)) if isinstance(node, ast.Name) else None


def _type_checking(statement: ast.stmt) -> list[ast.stmt] | None:
    """Return what runs of an ``if TYPE_CHECKING:``, its else; None for any other statement."""
    chain = chain_of(statement.test) if isinstance(statement, ast.If) else None
    is_one = chain in (("TYPE_CHECKING",), ("typing", "TYPE_CHECKING"))
    return statement.orelse if isinstance(statement, ast.If) and is_one else None


def _is_idle(statement: ast.stmt) -> bool:
    """Return whether a statement is a docstring, or a text that stands below a name to describe it."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _defined_names(statement: ast.stmt) -> list[str]:
    """Return the names of a definition or plain assignment; none for a statement that stands for itself."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = [*statement.targets]
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    names: list[str] = []
    while targets:
        target = targets.pop()
        if isinstance(target, ast.Tuple | ast.List):
            targets.extend(target.elts)
        elif isinstance(target, ast.Starred):
            targets.append(target.value)
        elif isinstance(target, ast.Name):
            names.append(target.id)
        else:
            return []
    return names


def _imported(
    statement: ast.Import | ast.ImportFrom, package: str
) -> Iterator[tuple[str, ast.stmt, tuple[str, str | None] | None]]:
    """Yield each name that an import binds, its own import, and what it is if it is of this package."""
    for alias in statement.names:
        if isinstance(statement, ast.Import):
            module = alias.name if alias.asname else alias.name.partition(".")[0]
            target = (module, None) if is_ours(module) else None
            yield alias.asname or module, ast.Import([alias]), target
        else:
            words = package.split(".")[: len(package.split(".")) - statement.level + 1]
            above = words if statement.level else []
            module = ".".join([*above, *([statement.module] if statement.module else [])])
            single = ast.ImportFrom(statement.module, [alias], statement.level)
            yield alias.asname or alias.name, single, (module, alias.name) if is_ours(module) else None


def _is_field(node: ast.AnnAssign) -> bool:
    """Return whether it declares a field of a pydantic model, rather than a private or a class variable."""
    name = node.target.id if isinstance(node.target, ast.Name) else ""
    return not name.startswith("_") and "ClassVar" not in ast.dump(node.annotation)
