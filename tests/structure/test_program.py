import json
from typing import Any

import pytest
from pydantic import ValidationError

from advprune.structure.program import Program


def content(**changes: Any) -> dict[str, Any]:
    step: dict[str, Any] = {
        "name": "double",
        "operator": "aten.mul.Tensor",
        "arguments": [{"input": 0}, {"tensor": "two"}],
    }
    return {
        "steps": [step | changes],
        "output": "double",
        "tensors": {"two": {"kind": "buffer"}},
    }


def test_a_program_is_its_json() -> None:
    program = Program.model_validate(content())
    assert Program.model_validate_json(program.model_dump_json()) == program
    assert json.loads(program.model_dump_json())["steps"][0]["operator"] == "aten.mul.Tensor"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operator": "aten.from_file.default"}, "aten.from_file.default"),
        ({"operator": "os.system"}, "os.system"),
        ({"operator": "aten.add_.Tensor"}, "aten.add_.Tensor"),
        ({"arguments": [{"step": "double"}]}, "step 'double', which is not there"),
        ({"arguments": [[{"tensor": "three"}]]}, "tensor 'three', which is not there"),
        ({"keywords": {"dtype": {"code": "1"}}}, "unknown argument"),
        ({"keywords": {"dtype": {"dtype": "load"}}}, "dtype 'load'"),
        ({"arguments": [{"memory_format": "hub"}]}, "memory_format 'hub'"),
        ({"arguments": [{"number": "__import__"}]}, "number '__import__'"),
        ({"arguments": [{"number": ["inf"]}]}, "unknown argument"),
        ({"arguments": [{"training": "elsewhere"}]}, "training 'elsewhere'"),
        ({"arguments": [{}]}, "unknown argument"),
        ({"name": "treble"}, "output 'double'"),
        ({"extra": 1}, "extra"),
    ],
)
def test_what_is_no_graph_over_known_operators_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        Program.model_validate(content(**changes))


def test_names_are_given_once_and_ties_are_known() -> None:
    twice = content()
    twice["steps"] *= 2
    with pytest.raises(ValidationError, match="two steps"):
        Program.model_validate(twice)
    tied = content()
    tied["tensors"]["one"] = {"kind": "buffer", "same_as": "nothing"}
    with pytest.raises(ValidationError, match="'nothing'"):
        Program.model_validate(tied)


def test_rewriting_changes_one_argument_and_keeps_the_rest() -> None:
    program = Program.model_validate(content())
    changed = program.rewritten({"double": {1: 3}})
    assert changed.steps[0].arguments == [{"input": 0}, 3]
    assert program.steps[0].arguments[1] == {"tensor": "two"}
    with pytest.raises(ValueError, match="no step 'treble'"):
        program.rewritten({"treble": {0: 1}})
    with pytest.raises(ValueError, match="argument 2"):
        program.rewritten({"double": {2: 1}})
