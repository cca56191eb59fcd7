"""What cannot be pruned is refused by name and place."""


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
