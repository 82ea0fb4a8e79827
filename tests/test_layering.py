"""Who may import whom, how long a file may be, and what a kernel may hold; read from the sources."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import clipdetect

ROOT = Path(clipdetect.__file__).parent
FILES = {str(path.relative_to(ROOT)): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}
COMPONENTS = ("estimators", "thresholds", "features", "changepoints")
PLUGGABLE = [name for name in FILES if name.split("/")[0] in COMPONENTS and not Path(name).name.startswith("_")]


def module(name: str) -> str:
    """Dotted name of a file of the package."""
    return ".".join(("clipdetect", *Path(name).with_suffix("").parts)).removesuffix(".__init__")


def imports(name: str) -> set[str]:
    """Modules that a file imports anywhere, for type checking only too; `from a import b` is a and a.b."""
    found: set[str] = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found.update(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: a relative import"
            found.add(str(node.module))
            found.update(f"{node.module}.{each.name}" for each in node.names)
    return found


def ours(name: str) -> set[str]:
    """Parts of this package that a file imports: `formats`, `jit`, ..."""
    return {each.split(".")[1] for each in imports(name) if each.startswith("clipdetect.")}


def importers(library: str) -> set[str]:
    return {name for name in FILES if any(each.split(".")[0] == library for each in imports(name))}


def under(folder: str) -> list[str]:
    return [name for name in FILES if name.startswith(folder + "/")]


def test_the_package_is_read():
    assert {"jit.py", "pipeline.py", "estimators/level.py"} <= set(FILES)


def test_numba_is_imported_by_jit_only():
    assert importers("numba") == {"jit.py"}


def test_click_is_imported_by_the_command_line_only():
    found = importers("click")
    assert found
    assert all(name.startswith("cli/") for name in found)


def test_rich_is_imported_by_display_only():
    assert importers("rich") == {"display.py"}


@pytest.mark.parametrize(("library", "home"), [("yaml", "yaml_file.py"), ("zstandard", "source.py")])
def test_other_libraries_have_one_home(library, home):
    assert importers(library) == {home}


def test_nothing_imports_the_command_line():
    users = {name for name in FILES if "cli" in ours(name)}
    assert {name for name in users if not name.startswith("cli/")} == {"__main__.py"}


@pytest.mark.parametrize("name", PLUGGABLE)
def test_components_import_contracts_and_numerics_only(name):
    folder = name.split("/")[0]
    assert ours(name) <= {"components", "numerics", "jit", "errors", folder}
    own = [each.split(".")[2] for each in imports(name) if each.startswith(f"clipdetect.{folder}.")]
    assert all(each.startswith("_") for each in own), "of its own folder a component imports halves only"


@pytest.mark.parametrize("name", under("numerics"))
def test_numerics_import_contracts_and_kernels_only(name):
    assert ours(name) <= {"components", "numerics", "jit"}


@pytest.mark.parametrize("name", under("formats"))
def test_formats_never_see_a_model(name):
    assert not ours(name) & {
        "detector",
        "components",
        "estimators",
        "thresholds",
        "features",
        "changepoints",
        "pipeline",
    }


def test_the_detector_never_sees_bytes():
    for name in ("detector.py", "keys.py", "components.py"):
        assert not ours(name) & {"formats", "records", "source", "sink", "pipeline"}


def test_contracts_import_next_to_nothing():
    assert ours("records.py") == set()
    assert ours("errors.py") == set()
    assert ours("components.py") == {"jit"}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_shorter_than_450_lines(name):
    assert len(FILES[name].read_text().splitlines()) < 450


@pytest.mark.parametrize("path", sorted(Path(__file__).parent.rglob("*.py")), ids=lambda path: path.name)
def test_a_test_file_is_shorter_than_450_lines(path):
    assert len(path.read_text().splitlines()) < 450


@pytest.mark.parametrize("name", PLUGGABLE)
def test_a_components_file_names_one_class(name):
    names = [
        ast.literal_eval(node.value)
        for node in TREES[name].body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
    ]
    assert len(names) == 1
    (only,) = names[0]
    assert only in {node.name for node in TREES[name].body if isinstance(node, ast.ClassDef)}


# -- kernels ----------------------------------------------------------------------------------


def kernels() -> dict[str, ast.FunctionDef]:
    return {
        f"{name}:{node.name}": node
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(each, ast.Name) and each.id == "kernel" for each in node.decorator_list)
    }


KERNELS = kernels()
ENGINES_DIFFER = {"sum", "list", "dict", "set", "sorted", "map", "filter", "pow", "any", "all", "round"}


def faults(function: ast.FunctionDef) -> list[str]:
    """What the two engines would not do alike; annotations are not run."""
    found = []
    for node in (node for statement in function.body for node in ast.walk(statement)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Pow):
            found.append(f"{line}: a power")
        elif isinstance(node, ast.Name) and node.id in ("np", "numpy"):
            found.append(f"{line}: numpy")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ENGINES_DIFFER:
            found.append(f"{line}: {node.func.id}")
        elif isinstance(node, ast.Slice):
            found.append(f"{line}: a slice")
        elif isinstance(node, ast.ListComp | ast.DictComp | ast.SetComp | ast.GeneratorExp | ast.List | ast.Dict):
            found.append(f"{line}: a container")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.append(f"{line}: an import")
    return found


def test_kernels_are_found():
    assert len(KERNELS) > 8


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_means_the_same_in_both_engines(name):
    assert faults(KERNELS[name]) == []


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_is_at_module_level_and_says_its_shapes(name):
    node, file = KERNELS[name], name.split(":")[0]
    assert node in TREES[file].body
    assert ast.get_docstring(node)


MOST_ARGUMENTS = 8


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_has_few_arguments_and_says_their_types(name):
    """So that none is told apart by its position alone: NamedTuples of arrays and numbers, typed."""
    arguments = KERNELS[name].args.args
    assert len(arguments) <= MOST_ARGUMENTS
    assert [each.arg for each in arguments if each.annotation is None] == []
    assert KERNELS[name].returns is not None


def test_the_search_for_faults_finds_them():
    source = "def f(x):\n a = x ** 2\n b = np.sum(x)\n c = x[1:2]\n d = sum(x)\n e = [v for v in x]\n x **= 2\n"
    (function,) = ast.parse(source).body
    assert len(faults(function)) == 6
