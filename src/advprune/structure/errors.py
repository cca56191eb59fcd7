"""What cannot be pruned is refused by name and place."""

import traceback
from collections.abc import Sequence

import torch


class UnsupportedModelError(ValueError):
    """The model's graph cannot be analysed, so nothing of it is pruned."""


class UnsupportedOperatorError(UnsupportedModelError):
    """An operator without a rule: naming it, its module and the line that calls it."""

    def __init__(
        self, operator: str, module: str, place: str, reason: str, task: str = "prune through"
    ) -> None:
        self.operator = operator
        self.module = module
        self.place = place
        where = f"in module '{module}'" if module else "in the model's forward"
        at = f" ({place})" if place else ""
        super().__init__(f"cannot {task} operator '{operator}' {where}{at}: {reason}")


def cannot_export(model: object, shape: Sequence[int], error: Exception) -> UnsupportedModelError:
    """Returns the error that says why and where `torch.export` refuses a model, without its hints.

    Args:
        model: what was to be exported.
        shape: of one image.
        error: what `torch.export` raised.
    """
    return UnsupportedModelError(
        f"torch.export cannot take {type(model).__name__} for any batch size of images "
        f"{tuple(shape)}{place_of_error(error)}: {_reason(error)}"
    )


def place_of_error(error: Exception) -> str:
    """Returns file, line and source of the last call in the user's code, in brackets.

    It lies behind the first call of a module; empty where there is none.
    """
    frames = traceback.extract_tb(error.__traceback__)
    called = [number for number, frame in enumerate(frames) if frame.filename == _MODULE]
    own = [frame for frame in frames[min(called, default=len(frames)) :] if _is_own(frame)]
    if not own:
        return ""
    last = own[-1]
    return f' (File "{last.filename}", line {last.lineno}, in {last.name}: {last.line})'


_MODULE = torch.nn.modules.module.__file__


def _is_own(frame: traceback.FrameSummary) -> bool:
    return "/torch/" not in frame.filename and not frame.filename.startswith("<")


def _reason(error: Exception) -> str:
    from torch._dynamo.exc import UserError, UserErrorType
    from torch._subclasses.fake_tensor import UnsupportedOperatorException
    from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

    if isinstance(error, GuardOnDataDependentSymNode):
        return "what it does there depends on the images' values, which no graph holds"
    if isinstance(error, UnsupportedOperatorException):
        return f"operator '{error.func}' cannot stand in a graph"
    fixed = UserErrorType.CONSTRAINT_VIOLATION
    if isinstance(error, UserError) and error.error_type == fixed:
        return "the size of the batch is fixed in its forward"
    return str(error).partition("\n\n")[0]
