"""Which names does a cell need, and which does it bind?

Learners have no answers, so no other cell may need a name that an answer's region makes. Python's scopes decide what
counts: a parameter or a local variable of a function is not the global name that happens to be spelled alike.
"""

import ast
from dataclasses import dataclass

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Need:
    """A global name that a cell reads, and the lines of the same cell that bind it before."""

    name: str
    line: int
    bound_at: tuple = ()


@dataclass(frozen=True)
class Binding:
    """A global name that a cell binds; `imported` is the import statement in one canonical form."""

    name: str
    line: int
    imported: str = ""


def needs_and_bindings(tree):
    """Read a cell in the order in which it runs.

    Returns
    -------
    (list of Need, list of Binding)

    Examples
    --------
    >>> needs, bindings = needs_and_bindings(ast.parse("a = b + 1\\nf = lambda c: a + c + d"))
    >>> [need.name for need in needs], [binding.name for binding in bindings]
    (['b', 'a', 'd'], ['a', 'f'])
    """
    reader = _Reader()
    reader.visit(tree)
    reader.run_functions()
    return reader.needs, reader.bindings


class _Reader(ast.NodeVisitor):
    def __init__(self):
        self.needs, self.bindings = [], []
        self.scopes = []  # (is it a class?, its names), from outside to inside
        self.later = []  # bodies of functions run when called, so names bound further down are known to them
        self.deferred = False

    # names

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Store):
            self.bind(node.id, node.lineno)
        else:
            self.need(node.id, node.lineno)

    def need(self, name, line):
        for depth, (is_class, names) in enumerate(reversed(self.scopes)):
            if name in names and not (is_class and depth):  # methods do not see the names of their class
                return
        bound_at = tuple(item.line for item in self.bindings if item.name == name)
        self.needs.append(Need(name, line, bound_at))

    def bind(self, name, line, imported=""):
        for is_class, names in reversed(self.scopes):
            if is_class:
                names.add(name)
                return
            if name in names:
                return
        self.bindings.append(Binding(name, line, imported))

    # definitions

    def visit_FunctionDef(self, node):
        self.visit_all([*node.decorator_list, *_defaults(node.args), *_annotations(node)])
        self.bind(node.name, node.lineno)
        self.later.append((list(self.scopes), _locals(node), node.body))

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        self.visit_all(_defaults(node.args))
        self.later.append((list(self.scopes), _locals(node), [node.body]))

    def visit_ClassDef(self, node):
        self.visit_all([*node.decorator_list, *node.bases, *node.keywords])
        self.scopes.append((True, set()))
        self.visit_all(node.body)
        self.scopes.pop()
        self.bind(node.name, node.lineno)

    def run_functions(self):
        while self.later:
            self.scopes, names, body = self.later.pop(0)
            self.scopes = [*self.scopes, (False, names)]
            self.visit_all(body)
        self.scopes = []

    def comprehension(self, node):
        first, *_ = node.generators
        self.visit(first.iter)
        targets = {
            part.id
            for each in node.generators
            for part in ast.walk(each.target)
            if isinstance(part, ast.Name)
        }
        self.scopes.append((False, targets))
        for i, each in enumerate(node.generators):
            self.visit_all([*([each.iter] if i else []), *each.ifs])
        self.visit_all([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])
        self.scopes.pop()

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = comprehension

    # statements whose parts run in another order than they are written, or that bind without a Name

    def visit_Assign(self, node):
        self.visit_all([node.value, *node.targets])

    def visit_AnnAssign(self, node):
        if node.value is not None:
            self.visit_all([node.annotation, node.value, node.target])

    def visit_AugAssign(self, node):
        if isinstance(node.target, ast.Name):
            self.need(node.target.id, node.lineno)
        self.visit_all([node.value, node.target])

    def visit_NamedExpr(self, node):
        self.visit_all([node.value, node.target])

    def visit_For(self, node):
        self.visit_all([node.iter, node.target, *node.body, *node.orelse])

    visit_AsyncFor = visit_For

    def visit_Import(self, node):
        for alias in node.names:
            name = alias.asname or alias.name.split(".")[0]
            self.bind(name, node.lineno, f"{alias.name} as {name}")

    def visit_ImportFrom(self, node):
        for alias in node.names:
            name = alias.asname or alias.name
            self.bind(name, node.lineno, f"{'.' * node.level}{node.module or ''}:{alias.name} as {name}")

    def visit_ExceptHandler(self, node):
        self.visit_all([node.type] if node.type else [])
        if node.name:
            self.bind(node.name, node.lineno)
        self.visit_all(node.body)

    def visit_MatchAs(self, node):
        self.generic_visit(node)
        if node.name:
            self.bind(node.name, node.lineno)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node):
        self.generic_visit(node)
        if node.rest:
            self.bind(node.rest, node.lineno)

    def visit_all(self, nodes):
        for node in nodes:
            self.visit(node)


def _defaults(args):
    return [node for node in (*args.defaults, *args.kw_defaults) if node is not None]


def _annotations(node):
    args = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
    found = [arg.annotation for arg in args if arg is not None and arg.annotation is not None]
    return found + ([node.returns] if node.returns else [])


def _locals(function):
    """The names that are local to a function: parameters, and what its body binds outside of inner functions."""
    args = function.args
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    names = {arg.arg for arg in every if arg is not None}
    declared_global = set()
    waiting = [function.body] if isinstance(function, ast.Lambda) else list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Global):
            declared_global.update(node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            names.add(node.rest)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            waiting += node.decorator_list
        elif isinstance(node, _COMPREHENSIONS):
            waiting += [part for part in ast.walk(node) if isinstance(part, ast.NamedExpr)]
        elif not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return names - declared_global
