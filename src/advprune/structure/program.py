"""A graph as plain data: steps over known operators, which JSON holds and no code is needed for.

An argument is a number, a string, None, a list of arguments, or one of these:
`{"step": name}`, the value of an earlier step; `{"input": 0}`, the images;
`{"tensor": name}`, a parameter or buffer; `{"training": module}`, whether that module trains;
`{"dtype": "float32"}` or `{"dtype": "input"}`, the images' own; `{"device": "input"}`;
`{"memory_format": "contiguous_format"}`; `{"number": "inf"}`, for what JSON cannot write.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from advprune.structure.operators import operator_of

_ALLOWED: dict[str, AbstractSet[Any]] = {
    "input": frozenset({0}),
    "dtype": frozenset(
        {"input", "float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool"}
    ),
    "device": frozenset({"input"}),
    "memory_format": frozenset({"contiguous_format", "preserve_format", "channels_last"}),
    "number": frozenset({"inf", "-inf", "nan"}),
}


class Step(BaseModel):
    """One operator applied.

    Attributes:
        name: of the value it gives.
        operator: one of `operators.OPERATORS`.
        arguments: encoded, in order.
        keywords: encoded, by name.
        module: qualified name of the user's module that calls it.
        shape: of the value, None along the batch; None where the value is no tensor.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    operator: str
    arguments: list[Any] = []
    keywords: dict[str, Any] = {}
    module: str = ""
    shape: list[int | None] | None = None

    def references(self) -> Iterator[Mapping[str, Any]]:
        """Returns the arguments that are no plain values, lists looked through."""
        return _references([*self.arguments, *self.keywords.values()])

    def read(self) -> list[str]:
        """Returns the names of the earlier steps whose values this one reads."""
        return [reference["step"] for reference in self.references() if "step" in reference]


class Held(BaseModel):
    """A tensor that the network holds.

    Attributes:
        kind: a constant is a buffer that is not in the state dict.
        trained: whether a parameter takes gradients.
        same_as: name of the tensor that this one is too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["parameter", "buffer", "constant"]
    trained: bool = True
    same_as: str | None = None


class Program(BaseModel):
    """A network's graph.

    Attributes:
        steps: in the order of execution.
        output: the step whose value is the network's.
        tensors: everything that the network holds, by qualified name.
        training_outputs: the steps whose values are the network's in train mode, where these are
            others, as where an auxiliary head runs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: list[Step]
    output: str
    tensors: dict[str, Held]
    training_outputs: list[str] = []

    @model_validator(mode="after")
    def _whole(self) -> "Program":
        steps: set[Any] = set()
        modules = {step.module for step in self.steps}
        known = {"step": steps, "tensor": set(self.tensors), "training": modules, **_ALLOWED}
        for step in self.steps:
            operator_of(step.operator)
            for reference in step.references():
                _check(step.name, reference, known)
            if step.name in steps:
                raise ValueError(f"two steps have the name {step.name!r}")
            steps.add(step.name)
        for output in (self.output, *self.training_outputs):
            if output not in steps:
                raise ValueError(f"the output {output!r} is no step")
        for name, held in self.tensors.items():
            if held.same_as is not None and held.same_as not in self.tensors:
                raise ValueError(f"tensor {name!r} is to be {held.same_as!r}, which is not there")
        return self

    def outputs(self, training: bool) -> list[str]:
        """Returns the steps whose values are the network's in a mode."""
        return (training and self.training_outputs) or [self.output]

    def run(self, training: bool) -> list[Step]:
        """Returns the steps that lead to the outputs of a mode, in order."""
        wanted = set(self.outputs(training))
        found = []
        for step in reversed(self.steps):
            if step.name in wanted:
                wanted.update(step.read())
                found.append(step)
        return found[::-1]

    def rewritten(self, arguments: Mapping[str, Mapping[int, Any]]) -> "Program":
        """Returns the program with other arguments.

        Args:
            arguments: by the step's name (as in the graph) and the argument's position, such as
                `{"view_3": {1: [{"step": "sym_size_int"}, 420]}}`.

        Raises:
            ValueError: there is no such step or argument.
        """
        content = self.model_dump()
        steps = {step["name"]: step for step in content["steps"]}
        for name, changes in arguments.items():
            for position, value in changes.items():
                if name not in steps or position >= len(steps[name]["arguments"]):
                    raise ValueError(f"no step {name!r} has an argument {position}")
                steps[name]["arguments"][position] = value
        return Program.model_validate(content)


def _check(step: str, reference: Mapping[str, Any], known: Mapping[str, AbstractSet[Any]]) -> None:
    kind, name = next(iter(reference.items()), ("", ""))
    if len(reference) != 1 or kind not in known or not isinstance(name, (str, int)):
        raise ValueError(f"step {step!r} has an unknown argument {dict(reference)}")
    if name not in known[kind]:
        raise ValueError(f"step {step!r} reads {kind} {name!r}, which is not there")


def _references(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
