"""What is on the screen can be written down, restored, and simplified by a teacher."""

import ast
import re
from pathlib import Path

import pytest
from cmlab_labs.common.explorer import Explorer, Picture, choice, log_slider, slider, toggle

from cmlab.metrics.plots import sheet

LABS = sorted((Path(__file__).parents[2] / "labs" / "src").glob("[0-9]*.py"))


def explorer():
    """Four sorts of knobs; the reading says how they stand."""
    drawn = []

    def draw(**values):
        drawn.append(values)
        figure, ((ax,),) = sheet()
        ax.set_title(str(values["seed"]))
        return Picture(figure, str(values))

    knobs = {
        "seed": slider("seed", 0, 0, 9),
        "level": log_slider("level", 1.0, 0.01, 100),
        "kind": choice("kind", ("a", "b")),
        "on": toggle("on"),
    }
    made = Explorer(draw, knobs)
    made.drawn = drawn
    return made


def test_the_code_restores_what_is_on_the_screen():
    one = explorer()
    one.turn({"seed": 3, "kind": "b"}, hide=["level", "on"])
    two = eval(one.to_code())
    assert two.picture.reading == one.picture.reading
    assert two.hidden == one.hidden == ("level", "on")
    assert two.to_code() == one.to_code()


def test_several_knobs_are_turned_in_one_drawing():
    one = explorer()
    before = len(one.drawn)
    one.turn({"seed": 3, "level": 10.0, "on": True})
    assert len(one.drawn) == before + 1
    assert one.drawn[-1] == {"seed": 3, "level": pytest.approx(10.0), "kind": "a", "on": True}


def test_a_hidden_knob_is_gone_from_the_screen_and_keeps_its_value():
    one = explorer().turn({"level": 10.0}, hide=["level"])
    assert one.knobs["level"] not in one.row.children and len(one.row.children) == 3
    assert one.knobs["level"].value == pytest.approx(10.0)
    assert one.turn({}).knobs["level"] in one.row.children


def test_a_knob_that_is_not_there_is_named_with_those_that_are():
    one = explorer()
    with pytest.raises(ValueError, match="no knob rho: it has seed, level, kind, on"):
        one.turn({"rho": 7})
    with pytest.raises(ValueError, match="no knob rho"):
        one.turn({}, hide=["rho"])


def test_after_a_value_that_a_knob_refuses_it_still_draws():
    one = explorer()
    with pytest.raises(Exception, match="kind|selection|option"):
        one.turn({"kind": "c"})
    before = len(one.drawn)
    one.knobs["seed"].value = 5
    assert len(one.drawn) == before + 1


@pytest.mark.parametrize("source", LABS, ids=lambda p: p.stem)
def test_the_call_that_to_code_names_stands_in_the_lab(source):
    """Every `Explorer(…, call)` of a widget module is how the lab's own cell makes it."""
    text = source.read_text(encoding="utf-8")
    labs = Path(__file__).parents[2] / "labs"
    places = r"cmlab_labs\.(?:lab\w+\.explorer|common\.\w+)"
    for module in re.findall(rf"from ({places}) import [^\n]*\bexplorer\b", text):
        path = labs.joinpath(*module.split(".")).with_suffix(".py")
        named = [
            node.value
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Constant) and re.fullmatch(r"explorer\(.*\)", str(node.value))
        ]
        calls = named or ["explorer()"]
        assert any(re.search(rf"^{re.escape(call)}$", text, re.MULTILINE) for call in calls)
