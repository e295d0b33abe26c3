"""The rules of the layout, one test each; `python scripts/house.py` prints the same measures."""

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1] / "scripts" / "house.py"


@pytest.fixture(scope="module")
def house():
    spec = importlib.util.spec_from_file_location("house", HOUSE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["house"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["house"]


def test_cmlab_never_imports_the_labs(house):
    """One function loads them, by name, for the commands and kinds that it lists."""
    assert house.upward() == []
    late = [m.name for m in house.of("cmlab") if '"cmlab_labs.' in m.text and m.name != house.LATE]
    aliases = {"cmlab.ingredients"}  # names that records hold, and where the things are now
    assert set(late) <= aliases


def test_what_labs_share_imports_no_lab(house):
    assert house.common_to_labs() == []


def test_no_lab_imports_another(house):
    assert house.lab_to_lab() == []


def test_no_file_of_one_lab_lies_outside_its_folder(house):
    assert house.strays() == []


def test_imports_form_no_circle(house):
    assert house.cycle() == []


def test_the_packages_stay_small(house):
    assert len(house.of("cmlab")) <= house.FILES
    assert sum(map(house.lines, house.of("cmlab"))) <= house.LINES
    assert len(house.of("cmlab_labs")) <= house.LABS_FILES


def test_the_core_ring_stays_small(house):
    assert len(house.core()) <= house.CORE_FILES
    assert sum(map(house.lines, house.core())) <= house.CORE_LINES


def test_a_file_of_the_core_is_read_in_one_sitting(house):
    assert {m.name: n for m in house.core() if (n := house.lines(m)) > house.FILE_LINES} == {}


def test_a_function_of_the_core_fits_a_screen(house):
    lengths = {name: n for m in house.core() for name, n in house.function_lines(m).items()}
    assert {name: n for name, n in lengths.items() if n > house.FUNCTION_LINES} == {}


def test_lab_02_loads_a_part_of_the_package(house):
    assert len(house.loaded_by_lab("02")) <= house.LAB_02


def test_importing_cmlab_loads_nothing_else(house):
    code = "import sys, cmlab; print(*[m for m in sys.modules if m[:6] in ('cmlab.', 'torch')])"
    done = house.subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_public_names_load():
    import cmlab

    assert sorted(cmlab.__all__) == sorted(cmlab._MODULES)
    assert all(getattr(cmlab, name) is not None for name in cmlab.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cmlab.nothing


def test_a_public_class_has_a_name_of_its_own(house):
    assert house.twice() == {}, "two public classes have one name: use the first, or rename yours"


def _calls(module):
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), ast.unparse(node)


def test_no_file_is_ever_unpickled(house):
    """A pickle runs code when it is read. Weights are safetensors, records are JSON."""
    for module in house.modules().values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {getattr(node, "module", None), *(alias.name for alias in node.names)}
                forbidden = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
                assert not names & forbidden, module.name
        for function, call in _calls(module):
            assert function not in {"torch.load", "torch.save", "np.save", "numpy.save"}
            if function in {"np.load", "numpy.load"}:
                assert "allow_pickle=False" in call, module.name


def test_code_does_not_print(house):
    allowed = ("cmlab.cli", "cmlab.train.run_log", "cmlab_labs.tools.notebooks")
    for module in house.modules().values():
        if not module.name.startswith(allowed):
            assert "print" not in {function for function, _ in _calls(module)}, module.name


def test_an_import_that_is_not_allowed_is_noticed(house):
    def module(name, text):
        folder = house.PLACES[name.split(".")[0]]
        path = folder.joinpath(*name.split(".")[1:]).with_suffix(".py")
        return house.Module(name, path, text, ast.parse(text))

    core = module("cmlab.methods.x", "def f():\n    from cmlab_labs.common import study")
    assert house.imports(core) == set()
    assert house.imports(core, late=True) == {"cmlab_labs.common.study"}
    relative = module("cmlab_labs.lab10_scm.x", "from ..lab02_consistency.figures import basins")
    assert house.imports(relative) == {"cmlab_labs.lab02_consistency.figures"}
