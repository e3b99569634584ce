"""The style that tools do not know: each rule is a function that names what offends, tried on a poisoned snippet and on the tree."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST_FUNCTION = 70
LONGEST_MODULE = 500
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
POST = "from app.ledger.service import post\n"
TWICE = "f posts more than once"
IN_A_LOOP = "f posts in a loop within one transaction"
LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

Offence = tuple[int, str]
Detector = Callable[[ast.Module], Iterator[Offence]]


def python_files(*places: str) -> list[Path]:
    """Every Python file under these places, never an empty list: a rule over nothing holds nothing."""
    found = [path for place in places for path in ([ROOT / place] if place.endswith(".py") else sorted((ROOT / place).rglob("*.py")))]
    assert found
    return found


def offences(detect: Detector, files: list[Path]) -> list[str]:
    return [f"{path.relative_to(ROOT)}:{line}: {what}" for path in files for line, what in detect(parsed(path))]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def commits(tree: ast.Module) -> Iterator[Offence]:
    """Calls that commit: `commit()`, and a block under `begin()`, at its end."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit":
            yield node.lineno, ".commit()"
        if isinstance(node, ast.withitem) and ast.unparse(node.context_expr).endswith(".begin()"):
            yield node.context_expr.lineno, ".begin()"


def decimals(tree: ast.Module) -> Iterator[Offence]:
    """Any mention of decimal numbers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node).split(".")[-1] == "Decimal":
            yield node.lineno, "Decimal"
        if (isinstance(node, ast.Import) and any(alias.name == "decimal" for alias in node.names)) or (
            isinstance(node, ast.ImportFrom) and node.module == "decimal"
        ):
            yield node.lineno, "import of decimal"


def fractions(tree: ast.Module) -> Iterator[Offence]:
    """Where a fraction of a fen could arise: `float`, a literal with a point, a true division.

    Joining paths is no division, and a literal that is named as seconds is no money.
    """
    seconds = set(_literals_in_seconds(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "float":
            yield node.lineno, "float"
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and node not in seconds:
            yield node.lineno, f"literal {node.value}"
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div) and not _joins_paths(node):
            yield node.lineno, "true division"


def _literals_in_seconds(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and all(ast.unparse(target).lower().endswith("_seconds") for target in node.targets):
            yield node.value


def _joins_paths(node: ast.BinOp | ast.AugAssign) -> bool:
    right = node.right if isinstance(node, ast.BinOp) else node.value
    return isinstance(right, ast.JoinedStr) or (isinstance(right, ast.Constant) and isinstance(right.value, str))


def http_exceptions(tree: ast.Module) -> Iterator[Offence]:
    """Slices speak the domain's errors; only the edge knows HTTP."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "HTTPException" for alias in node.names):
            yield node.lineno, "import of HTTPException"
        if isinstance(node, ast.Attribute) and node.attr == "HTTPException":
            yield node.lineno, "HTTPException"


def long_functions(tree: ast.Module) -> Iterator[Offence]:
    """Functions that do not fit a screen."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                yield node.lineno, f"{node.name} has {lines} lines"


def second_posts(tree: ast.Module) -> Iterator[Offence]:
    """A second `ledger.post` in a function, or one in a loop that does not open a transaction for every round."""
    doors = _names_of_the_door(tree)
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        posts = list(_own_posts(function, doors, repeated=False))
        for position, (line, repeated) in enumerate(posts):
            if position > 0:
                yield line, f"{function.name} posts more than once"
            if repeated:
                yield line, f"{function.name} posts in a loop within one transaction"


def _names_of_the_door(tree: ast.Module) -> set[str]:
    doors = {"app.ledger.service.post"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "app.ledger.service":
            doors |= {alias.asname or alias.name for alias in node.names if alias.name == "post"}
        if isinstance(node, ast.ImportFrom) and node.module == "app.ledger":
            doors |= {f"{alias.asname or alias.name}.post" for alias in node.names if alias.name == "service"}
    return doors


def _own_posts(node: ast.AST, doors: set[str], repeated: bool) -> Iterator[tuple[int, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, FUNCTIONS):
            continue
        again = repeated or (isinstance(node, LOOPS) and child is not _evaluated_once(node))
        if isinstance(child, ast.AsyncWith) and any(".transaction(" in ast.unparse(item) for item in child.items):
            again = False
        if isinstance(child, ast.Call) and ast.unparse(child.func) in doors:
            yield child.lineno, again
        yield from _own_posts(child, doors, again)


def _evaluated_once(loop: ast.AST) -> ast.AST | None:
    if isinstance(loop, ast.For | ast.AsyncFor):
        return loop.iter
    generators: list[ast.AST] = getattr(loop, "generators", [])
    return generators[0] if generators else None


@pytest.mark.parametrize(
    ("detect", "snippet", "named"),
    [
        (commits, "await session.commit()", [".commit()"]),
        (commits, "async with engine.begin() as c: pass", [".begin()"]),
        (commits, "async with session.begin_nested(): pass", []),
        (commits, "await journal.begin(session)", []),
        (decimals, "from decimal import Decimal", ["import of decimal"]),
        (decimals, "x = decimal.Decimal(1)", ["Decimal"]),
        (fractions, "x_fen = float(y)", ["float"]),
        (fractions, "x_fen = y * 0.5", ["literal 0.5"]),
        (fractions, "x_fen = y / 2", ["true division"]),
        (fractions, "x_fen /= 2", ["true division"]),
        (fractions, "fee_fen = WAIT_SECONDS = 0.5", ["literal 0.5"]),
        (fractions, "WAIT_SECONDS = 0.5", []),
        (fractions, "x_fen = y // 2; path = here / 'a' / f'{b}.sql'", []),
        (http_exceptions, "from fastapi import HTTPException", ["import of HTTPException"]),
        (http_exceptions, "raise fastapi.HTTPException(404)", ["HTTPException"]),
        (long_functions, "def f():\n" + "    pass\n" * LONGEST_FUNCTION, ["f has 71 lines"]),
        (long_functions, "def f():\n" + "    pass\n" * (LONGEST_FUNCTION - 1), []),
        (second_posts, "from app.ledger import service as ledger\ndef f(): ledger.post(s, a); ledger.post(s, b)", [TWICE]),
        (second_posts, f"{POST}def f(): post(s, a)\ndef g(): post(s, a)", []),
        (second_posts, f"{POST}def f():\n  for a in b: post(s, a)", [IN_A_LOOP]),
        (second_posts, f"{POST}def f(): return [post(s, a) for a in b]", [IN_A_LOOP]),
        (second_posts, f"{POST}def f():\n  while post(s, a): pass", [IN_A_LOOP]),
        (second_posts, f"{POST}def f():\n  for row in post(s, a): pass", []),
        (second_posts, f"{POST}def f(): return [row.id for row in post(s, a)]", []),
        (second_posts, f"{POST}async def f():\n  for a in b:\n    async with d.transaction() as s: await post(s, a)", []),
        (second_posts, "def f(): client.post(a); client.post(b)", []),
    ],
)
def test_each_rule_names_what_offends_it(detect: Detector, snippet: str, named: list[str]) -> None:
    assert [what for _, what in detect(ast.parse(snippet))] == named


def test_only_the_database_module_commits() -> None:
    migrator = ROOT / "app/districts.py"
    assert offences(commits, [path for path in python_files("app") if path not in (ROOT / "app/db.py", migrator)]) == []
    assert len(offences(commits, [migrator])) == 1, "a migration runs in a transaction of its own, and that is all"


def test_money_is_whole_fen() -> None:
    assert offences(decimals, python_files("app", "bank_adapters")) == []
    slices = [
        f"app/{path.name}" for path in (ROOT / "app").iterdir() if path.is_dir() and path.name not in ("portals", "sample", "__pycache__")
    ]
    assert offences(fractions, python_files("app/money.py", *slices)) == []


def test_only_the_edge_knows_http() -> None:
    edge = [ROOT / "app/main.py", *python_files("app/portals")]
    assert offences(http_exceptions, [path for path in python_files("app") if path not in edge]) == []


def test_functions_fit_a_screen() -> None:
    assert offences(long_functions, python_files("app", "bank_adapters", "tests")) == []


def test_modules_are_short() -> None:
    lengths = {
        path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files("app", "bank_adapters", "tests")
    }
    assert {str(path): lines for path, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_a_transaction_posts_once() -> None:
    assert offences(second_posts, python_files("app")) == []


def test_the_books_have_one_door() -> None:
    callers = {path.parent.name for path in python_files("app") if re.search(r"\bledger_post\b", path.read_text(encoding="utf-8"))}
    assert callers == {"ledger"}


def test_nothing_is_left_for_later_and_nothing_is_left_out() -> None:
    """Neither promises to finish, nor lines hidden from coverage, nor tests set aside."""
    words = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "pragma: no " + "cover", "mark" + r"\.skip\b", "x" + "fail")))
    places = ["app", "bank_adapters", "migrations", "tests", "docs", ".ci", "Makefile", "README.md", "Dockerfile", "compose.yaml"]
    texts = {".py", ".sql", ".md", ".toml", ".html", ".css", ".js", ".yaml", ""}
    for place in places:
        for path in [ROOT / place, *(ROOT / place).rglob("*")]:
            if path.is_file() and path.suffix in texts:
                assert not words.search(path.read_text(encoding="utf-8")), path.relative_to(ROOT)


def test_lock_files_name_packages_and_hashes_only() -> None:
    """So that they install from whichever index a machine is told to use, and only what was chosen."""
    line = re.compile(r"[a-z0-9._-]+==\S+( ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    for name in ("requirements.lock", "requirements-dev.lock"):
        assert [text for text in (ROOT / name).read_text(encoding="utf-8").splitlines() if not line.fullmatch(text)] == []


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name, wanted in (("requirements.lock", []), ("requirements-dev.lock", project["optional-dependencies"]["dev"])):
        locked = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / name).read_text(encoding="utf-8"), re.M))
        assert {re.split(r"[\[<>=; ]", dependency)[0] for dependency in project["dependencies"] + wanted} <= locked


def test_imports_go_one_way() -> None:
    linter = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert linter.returncode == 0, linter.stdout
