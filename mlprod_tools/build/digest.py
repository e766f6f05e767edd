"""What the outputs of a solution notebook follow from, as short strings: one for its code, one for each exercise's check.

Both are taken from the syntax tree, so that a comment or another line break executes nothing again. Of an exercise they
cover the check and what it uses in its file and in the lesson's `support.py`, but not what a right answer never shows:
hints, misconceptions, alternatives and the inputs for mutants. The rooms are left out: nbval runs every solution again and
finds what a change there does.
"""

import ast
import hashlib
import json

UNSEEN = {"hints", "minutes", "objective", "edition"}  # of an exercise, in the output for a right answer


def of_code(cells):
    """The digest of code cells and their tags."""
    return _short(json.dumps([[_tree(cell.source), cell.metadata.get("tags", [])] for cell in cells]))


def of_check(name, text, support=""):
    """The digest of one exercise.

    Parameters
    ----------
    name : str
        The name of the check function.
    text : str
        The file that defines it.
    support : str
        The lesson's `support.py`.
    """
    defined = {}
    for source in (support, text):  # what the file defines hides what `support` calls the same
        for node in ast.parse(source).body:
            for each in _names(node):
                defined[each] = node
    wanted, seen = [name], {}
    while wanted:
        node = defined.get(wanted.pop())
        if node is None or id(node) in seen:
            continue
        node = _without_prose(node)
        seen[id(node)] = node
        wanted += [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]
    return _short("\n".join(sorted(ast.dump(node) for node in seen.values())))


def _names(node):
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    return [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]


def _without_prose(node):
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "exercise":
            each.keywords = [keyword for keyword in each.keywords if keyword.arg not in UNSEEN]
        elif isinstance(each, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(each) is not None:
            each.body = each.body[1:] or [ast.Pass()]
    return node


def _tree(source):
    try:
        tree = ast.dump(ast.parse(source))
    except SyntaxError:  # a magic
        return source
    return tree + ";" * source.rstrip().endswith(";")  # a semicolon silences the last value


def _short(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]
