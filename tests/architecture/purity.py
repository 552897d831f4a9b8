"""What a module of the protocol may not do: a walk over its syntax tree.

All machines must compute the same bytes from the same bytes, so nothing may depend on the clock, the machine,
the order of a set, the value of a float, or anything outside the arguments.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ALLOWED_IMPORTS = _words(
    "abc base64 binascii bisect collections collections.abc dataclasses enum functools hashlib heapq hmac "
    "itertools operator re string struct types typing audiera.protocol libipld msgspec nacl.bindings "
    "nacl.exceptions urllib.parse"
)
ARRAY_IMPORTS = _words("numpy zstandard")
FORBIDDEN_NAMES = _words(
    "hash id round open print input float complex eval exec compile globals locals breakpoint __import__"
)
INEXACT_IN_NUMPY = _words(
    "float16 float32 float64 float128 longdouble half single double complex64 complex128 random mean average "
    "std var median divide true_divide sqrt log log2 exp linspace"
)
INEXACT = _words("mean std var total_seconds randombytes")
BROAD = _words("Exception BaseException")
SET_METHODS = _words("union intersection difference symmetric_difference")
SET_TYPES = _words("set frozenset Set AbstractSet MutableSet")
ORDER_FREE = _words("sorted len sum min max any all set frozenset bool")
ORDERED = _words("list tuple iter next enumerate zip map filter bytes bytearray dict join fromkeys extend chain")


@dataclass(frozen=True)
class Finding:
    """One thing that does not belong in the protocol."""

    line: int
    rule: str
    text: str


def impurities(source: str, *, arrays: bool = False) -> list[Finding]:
    """All findings in a module, in the order of the lines.

    Args:
        source: the module's text.
        arrays: whether it may use numpy and zstandard.
    """
    tree = ast.parse(source)
    walk = _Walk(arrays=arrays, sets=_set_names(tree))
    for node in ast.walk(tree):
        walk.look(node)
    return sorted(walk.findings, key=lambda finding: (finding.line, finding.rule))


def _terminal(node: ast.expr | None) -> str:
    """The last part of a name: ``b`` of ``a.b``; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _is_set_annotation(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Subscript):
        if _terminal(node.value) in {"Final", "ClassVar", "Annotated"}:
            return _is_set_annotation(node.slice)
        node = node.value
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _is_set_annotation(ast.parse(node.value, mode="eval").body)
    return _terminal(node) in SET_TYPES


def _set_names(tree: ast.AST) -> set[str]:
    """Names and attributes that are given a set, or annotated as one, anywhere in the module."""
    names: set[str] = set()
    while True:
        before = len(names)
        for node in ast.walk(tree):
            names.update(_named_here(node, names))
        if len(names) == before:
            return names


def _named_here(node: ast.AST, known: set[str]) -> Iterator[str]:
    match node:
        case ast.Assign(targets=targets, value=value) if _is_set(value, known):
            yield from filter(None, map(_terminal, targets))
        case ast.AnnAssign(target=target, annotation=annotation, value=value):
            if _is_set_annotation(annotation) or (value is not None and _is_set(value, known)):
                yield _terminal(target)
        case ast.NamedExpr(target=target, value=value) if _is_set(value, known):
            yield target.id
        case ast.arg(arg=name, annotation=annotation) if _is_set_annotation(annotation):
            yield name
        case ast.FunctionDef(name=name, returns=returns) if _is_set_annotation(returns):
            yield name + "()"


def _is_set(node: ast.expr, known: set[str]) -> bool:
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=function):
            name = _terminal(function)
            return name in SET_TYPES or name + "()" in known or _is_set_method(function, known)
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
            return _is_set(left, known) or _is_set(right, known)
        case ast.IfExp(body=body, orelse=orelse):
            return _is_set(body, known) or _is_set(orelse, known)
        case ast.Name() | ast.Attribute():
            return _terminal(node) in known
    return False


def _is_set_method(function: ast.expr, known: set[str]) -> bool:
    if not isinstance(function, ast.Attribute):
        return False
    return function.attr in SET_METHODS or (function.attr == "copy" and _is_set(function.value, known))


class _Walk:
    def __init__(self, *, arrays: bool, sets: set[str]) -> None:
        self.arrays = arrays
        self.sets = sets
        self.findings: list[Finding] = []
        self.order_free: set[ast.AST] = set()

    def found(self, node: ast.AST, rule: str, text: str) -> None:
        self.findings.append(Finding(getattr(node, "lineno", 0), rule, text))

    def look(self, node: ast.AST) -> None:
        """Apply every rule to one node; ``ast.walk`` brings parents before their children."""
        self.look_at_numbers(node)
        self.look_at_statements(node)
        self.look_at_imports(node)
        self.look_at_names(node)
        self.look_at_sets(node)

    def look_at_numbers(self, node: ast.AST) -> None:
        match node:
            case ast.Constant(value=float() | complex() as value):
                self.found(node, "float", f"the literal {value}")
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                self.found(node, "division", "`/` gives a float; `//` says how it rounds")
            case ast.BinOp(op=ast.Pow(), right=ast.UnaryOp(op=ast.USub())):
                self.found(node, "float", "a negative power is a float")

    def look_at_statements(self, node: ast.AST) -> None:
        match node:
            case ast.Assert():
                self.found(node, "assert", "an assert vanishes under -O")
            case ast.Global():
                self.found(node, "global", "state outside the arguments")
            case ast.AsyncFunctionDef() | ast.AsyncFor() | ast.AsyncWith() | ast.Await():
                self.found(node, "async", "the order of execution is part of the result")
            case ast.comprehension(is_async=1):
                self.found(node.iter, "async", "the order of execution is part of the result")
            case ast.ExceptHandler(type=caught):
                names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
                if caught is None or any(_terminal(name) in BROAD for name in names):
                    self.found(node, "broad except", "a bug would become a verdict")

    def look_at_imports(self, node: ast.AST) -> None:
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    self.look_at_import(node, alias.name)
            case ast.ImportFrom(module=module, names=aliases, level=level):
                if level:
                    self.found(node, "import", "a relative import")
                for alias in aliases:
                    self.look_at_import(node, module or "", alias.name)

    def look_at_import(self, node: ast.AST, module: str, name: str = "") -> None:
        allowed = ALLOWED_IMPORTS | ARRAY_IMPORTS if self.arrays else ALLOWED_IMPORTS
        inside = any(module == known or module.startswith(known + ".") for known in allowed)
        if not inside and f"{module}.{name}" not in allowed:
            self.found(node, "import", f"{module} is not among what the protocol may import")
        numbers = {name, *module.split(".")} & INEXACT_IN_NUMPY if module.startswith("numpy") else set()
        if numbers or name in INEXACT:
            self.found(node, "inexact", f"{module}.{name} is not exact")

    def look_at_names(self, node: ast.AST) -> None:
        match node:
            case ast.Name(id=name, ctx=ast.Load()) if name in FORBIDDEN_NAMES:
                self.found(node, "name", f"{name} is not pure or not exact")
            case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=name) if name in INEXACT_IN_NUMPY:
                self.found(node, "inexact", f"numpy's {name} is not exact")
            case ast.Attribute(attr=name) if name in INEXACT:
                self.found(node, "inexact", f".{name} is not exact")
            case ast.Call(func=ast.Attribute(attr="argsort") as function) if not _is_stable(node):
                self.found(function, "sort", "argsort without kind='stable'")
            case ast.Call(func=ast.Attribute(attr="sort", value=ast.Name(id="np" | "numpy"))) if not _is_stable(node):
                self.found(node, "sort", "sort without kind='stable'")

    def look_at_sets(self, node: ast.AST) -> None:
        match node:
            case ast.For(iter=iterated) if _is_set(iterated, self.sets):
                self.found(node, "set order", "a loop over a set")
            case ast.ListComp() | ast.DictComp() | ast.GeneratorExp():
                if node not in self.order_free:
                    for part in node.generators:
                        if _is_set(part.iter, self.sets):
                            self.found(node, "set order", "a comprehension over a set")
            case ast.Starred(value=value, ctx=ast.Load()) if _is_set(value, self.sets):
                self.found(node, "set order", "a set unpacked")
            case ast.Call(func=function, args=arguments):
                self.look_at_call(node, function, arguments)

    def look_at_call(self, node: ast.AST, function: ast.expr, arguments: list[ast.expr]) -> None:
        if isinstance(function, ast.Name) and function.id in ORDER_FREE:
            self.order_free.update(arguments)
            return
        given = any(_is_set(argument, self.sets) for argument in arguments)
        if given and _terminal(function) in ORDERED:
            self.found(node, "set order", f"{_terminal(function)}() of a set")
        if isinstance(function, ast.Attribute) and function.attr == "pop" and _is_set(function.value, self.sets):
            self.found(node, "set order", "pop() of a set")


def _is_stable(node: ast.Call) -> bool:
    return any(
        word.arg == "kind" and isinstance(word.value, ast.Constant) and word.value.value == "stable"
        for word in node.keywords
    )
