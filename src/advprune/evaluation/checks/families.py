"""Whether a model is robust in the threat it was made for alone."""

from collections.abc import Iterator, Sequence

from advprune.evaluation.checks.table import exceeding
from advprune.evaluation.families import Family
from advprune.evaluation.result import Finding


def check_families(families: Sequence[Family]) -> Iterator[Finding]:
    """Look for a family of attacks that leaves much less than that of the own threat does.

    Args:
        families: What each left; none where the suite has but one.
    """
    own = [family for family in families if family.own]
    others = [family for family in families if not family.own]
    if own and others:
        weakest = min(others, key=lambda family: family.accuracy)
        said = (
            f"In {weakest.name} {100 * weakest.accuracy:.2f} % are left, "
            f"in {own[0].name} {100 * own[0].accuracy:.2f} %."
        )
        yield from exceeding(
            {"weaker outside its threat": own[0].accuracy - weakest.accuracy}, said
        )
