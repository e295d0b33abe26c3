"""Only ingredients of the package can be named in a record, and they are found, not listed."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from cmlab_labs.registry import STUDIES, animations

from cmlab import discovery
from cmlab.discovery import LabsMissing, late_import, module_names, public_objects
from cmlab.ingredients import MARK, ingredient, is_ingredient, kind_of, resolve
from cmlab.methods.ict import PseudoHuber
from cmlab.presets import PRESETS
from cmlab.sampling import ddim
from cmlab.train.recipe import from_dict, to_dict

ROOT = Path(__file__).parents[1]
OUTSIDE = (
    "os.system", "subprocess.Popen", "builtins.eval", "pathlib.Path", "torch.nn.Linear",
    "antigravity.fly", "this.s", "cmlab_labs.anything.Thing", "cmlabs.distance.PseudoHuber",
    "tests.test_ingredients.Here", "__main__.Thing", "dataclasses.dataclass",
)  # fmt: skip
PRIVATE = (
    "cmlab.data.toy._circle", "cmlab.ingredients._find", "cmlab.train.recipe.__name__",
    "cmlab.train.recipe.Recipe.__init__", "cmlab.__main__.main", "cmlab._hidden.Thing",
    "cmlab.methods.ict.PseudoHuber.__class__",
)  # fmt: skip
NO_INGREDIENT = (
    "cmlab.train.recipe.from_dict", "cmlab.train.checkpoint.write",
    "cmlab.train.distributed.Engine", "cmlab.train.control.RunControl",
    "cmlab.data.cifar10.ResidentImages", "cmlab.model.Denoiser", "cmlab.train.trainer.Trainer",
    "cmlab.types.Data", "cmlab.presets.toy.RING",
    "cmlab.methods.base.Method", "cmlab.data.toy.ToyData", "cmlab.noise_levels.intervals",
)  # fmt: skip
IMPORTED = (  # named where they are imported, not where they are defined
    "cmlab.methods.ICT", "cmlab.presets.toy.PseudoHuber", "cmlab.train.recipe.TrainConfig",
    "cmlab.train.recipe.torch", "cmlab.train.recipe.os.path", "cmlab.presets.toy.replace",
)  # fmt: skip
TRICKS = (
    "", ".", "..", "cmlab", "cmlab.", ".distance.PseudoHuber", "cmlab..distance.PseudoHuber",
    "cmlab/distance.PseudoHuber", "cmlab.losses:PseudoHuber", "cmlab.methods.ict.PseudoHuber()",
    "cmlab.methods.ict.PseudoHuber ", "cmlab.losses.pseudohuber", "CMLAB.distance.PseudoHuber",
    "cmlab.losses\n.PseudoHuber", "../cmlab.methods.ict.PseudoHuber", "cmlab.losses",
    "cmlab.methods.ict.PseudoHuber.c", "cmlab.train.recipe.Recipe.start.x.y.z",
    "distance.pseudoHuber",
    "cmlab." + "a." * 40 + "b", "cmlab.losses." + "P" * 10_000, "a" * 1_000_000, "\x00", "kind",
)  # fmt: skip
NO_TEXT = (
    None,
    3,
    1.5,
    True,
    [],
    {},
    ["cmlab.methods.ict.PseudoHuber"],
    {"kind": "os.system"},
    b"x",
)


EVERY = (*OUTSIDE, *PRIVATE, *NO_INGREDIENT, *IMPORTED, *TRICKS, *NO_TEXT)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: repr(kind)[:40])
def test_nothing_but_an_ingredient_can_be_named(kind):
    before = set(sys.modules)
    with pytest.raises(ValueError, match="which this cmlab lacks; update cmlab") as error:
        from_dict({"kind": kind, "command": "echo"})
    assert len(str(error.value)) < 300
    assert all(name.startswith("cmlab.") for name in set(sys.modules) - before)


def test_a_module_outside_the_package_is_not_run_to_find_out(tmp_path):
    """Neither one on the path nor one beside the package that a name could lead to."""
    (tmp_path / "trap.py").write_text("raise SystemExit('it was run')")
    code = (
        "from cmlab.train.recipe import from_dict\n"
        "for kind in ('trap.Thing', 'cmlab.trap.Thing', 'cmlab.data.trap.Thing'):\n"
        "    try:\n        from_dict({'kind': kind})\n"
        "    except ValueError as error:\n        assert 'lacks' in str(error)\n"
        "import cmlab\ncmlab.__path__.append('.')\n"
        "try:\n    from_dict({'kind': 'cmlab.trap.Thing'})\n"
        "except ValueError:\n    print('good')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "good\n", done.stderr


def test_a_class_that_only_claims_to_be_of_the_package_is_no_ingredient():
    @ingredient
    @dataclass(frozen=True)
    class Here:
        x: int = 1

    assert not is_ingredient(Here)
    with pytest.raises(TypeError, match="a record cannot hold"):
        to_dict(Here())
    Here.__module__, Here.__qualname__ = "cmlab.losses", "PseudoHuber"
    assert not is_ingredient(Here) and is_ingredient(PseudoHuber)


def test_a_subclass_of_an_ingredient_is_none_until_it_is_marked():
    @dataclass(frozen=True)
    class Wider(PseudoHuber):
        pass

    assert MARK in vars(PseudoHuber) and not is_ingredient(Wider)


def test_only_frozen_dataclasses_and_functions_can_be_marked():
    class Plain:
        pass

    @dataclass
    class Loose:
        x: int = 1

    class Child(PseudoHuber):
        pass

    for thing in (Plain, Loose, Child, 3, "text"):
        with pytest.raises(TypeError, match="a frozen dataclass or a function"):
            ingredient(thing)


def test_a_kind_is_the_full_dotted_name():
    assert kind_of(PseudoHuber) == "cmlab.methods.ict.PseudoHuber"
    assert to_dict(PseudoHuber()) == {"kind": kind_of(PseudoHuber), "c": None}
    assert resolve("cmlab.sampling.ddim") is ddim and to_dict(ddim) == {
        "kind": "cmlab.sampling.ddim"
    }


# What the labs bring.


def test_every_late_import_is_there_and_has_what_is_asked_of_it():
    for command in discovery.COMMANDS:
        assert callable(late_import(command).main)
    for kind in discovery.KINDS:
        assert is_ingredient(resolve(kind)) and late_import(kind).__name__ in kind
    for name in discovery.PRESETS:
        assert PRESETS[name](steps=1).train.steps == 1


def test_what_is_not_on_the_list_is_not_imported_late():
    for name in ("os", "cmlab.losses", "cmlab.methods.ict.PseudoHuber", ""):
        with pytest.raises(KeyError):
            late_import(name)


def test_labs_that_are_not_installed_are_missed_in_one_sentence(monkeypatch):
    monkeypatch.setitem(discovery.COMMANDS, "bench", "cmlab_nowhere.bench")
    with pytest.raises(LabsMissing, match="cmlab_nowhere, which is not installed; install"):
        late_import("bench")


# What is found.


def test_names_of_modules_come_from_files_and_import_nothing():
    code = (
        "import sys\nfrom cmlab.discovery import module_names\n"
        "print(len(module_names('cmlab')) > 50, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"
    assert {"cmlab", "cmlab.methods", "cmlab.methods.ict"} <= set(module_names("cmlab"))
    assert module_names("cmlab.methods.ict") == ("cmlab.methods.ict",)
    assert module_names("no_such_package") == ()


def test_objects_are_found_where_they_are_defined():
    names = [thing.__qualname__ for thing in public_objects("cmlab.methods.ict")
             if hasattr(thing, "__qualname__")]  # fmt: skip
    assert "ICT" in names and "Method" not in names


# Names that records, texts and people's scripts use. They stay; new ones need not be listed.
PRESET_NAMES = {
    "toy": "edm cd ct ict ect sct scd edm-fast pcm",
    "digits": "edm ect ict sct scd edm-fast ict-latents slct pcm pcm-guided",
    "shapes": "edm ect sct edm-fast slct",
    "music": "edm cd",
    "cifar10": "edm-sprint ect-sprint ict-sprint sct-sprint scd-sprint "
    "edm-laptop ect-laptop cd-laptop edm-paper ect-paper ict-paper sct-paper scd-paper",
    "images": "edm ect edm-gpu ect-gpu",
}
STUDY_NAMES = {
    "distil", "pairs", "teacher", "target", "ladder", "outliers", "outlier-scale",
    "tuning-line", "tuning-toy", "tuning-digits", "stabilisers",
    "music-teacher", "music", "gap", "latents", "transport", "phases", "phased-digits",
    "pretraining-toy", "pretraining-rates", "pretraining-digits", "pretraining-shapes",
    "twins-toy", "twins-digits",
}  # fmt: skip


def marked(text):
    """The names in the `@preset("...")` marks of a file, in order."""
    return re.findall(r'^@preset\("(.+)"\)$', text, re.MULTILINE)


def test_every_preset_is_found_in_the_order_of_its_data_and_of_its_file():
    files = [
        *sorted((ROOT / "cmlab" / "presets").glob("*.py")),
        *sorted((ROOT / "labs" / "cmlab_labs").glob("lab*/preset.py")),
    ]
    by_file = {path: marked(path.read_text(encoding="utf-8")) for path in files}
    assert sorted(PRESETS) == sorted(name for names in by_file.values() for name in names)
    data = [name.partition(".")[0] for name in PRESETS]
    assert data == sorted(data, key=list(PRESET_NAMES).index)
    for path, names in by_file.items():
        assert names == [name for name in PRESETS if name in names], path
    for name, build in PRESETS.items():
        assert f"cmlab train {name}" in (build.__doc__ or ""), name
    assert "toy.nothing" not in PRESETS


def test_presets_and_studies_keep_the_names_that_they_always_had():
    assert {f"{d}.{m}" for d, names in PRESET_NAMES.items() for m in names.split()} <= set(PRESETS)
    assert set(STUDIES) >= STUDY_NAMES


def test_an_animation_is_shown_in_the_lab_in_whose_folder_it_is():
    found = animations()
    for path in (ROOT / "labs" / "cmlab_labs").glob("lab*/animation.py"):
        makers = re.findall(r"^@animation\ndef (\w+)", path.read_text("utf-8"), re.MULTILINE)
        assert makers and [make.__name__ for make in found.pop(path.parent.name[3:5])] == makers
    assert found == {}


def test_training_loads_no_command_of_the_labs():
    code = (
        "import sys\nfrom cmlab.cli.main import parser\n"
        "parser('train').parse_args(['train', 'toy.ict'])\n"
        "print([name for name in sys.modules if name.startswith('cmlab_labs')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
