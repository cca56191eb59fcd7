import pytest

from advprune.report import tables
from advprune.report.run_files import Metrics, RunFiles


def run(**result: object) -> RunFiles:
    return RunFiles(recipe="", metrics=Metrics([], {}), result=result)


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [(10, 5, "2.00× less"), (5, 10, "2.00× more"), (0, 10, ""), (10, 0, ""), (3, 3, "same")],
)
def test_a_ratio_says_its_direction(first: float, last: float, said: str) -> None:
    assert tables.ratio(first, last) == said


def test_latencies_match_by_their_setting_not_their_place() -> None:
    one, many = {"median_ms": 2.0, "batch": 1}, {"median_ms": 9.0, "batch": 128}
    sections = tables.headline(run(before={"latency": [one, many]}, after={"latency": [many]}))
    rows = {row.name: tuple(cell.text for cell in row.cells) for row in sections[0].rows}
    assert rows == {"latency (batch 1)": ("2 ms", "–"), "latency (batch 128)": ("9 ms", "9 ms")}


def test_an_attack_of_one_network_only_leaves_a_dash_in_the_other() -> None:
    sections = tables.headline(
        run(before={"clean": 1.0}, after={"clean": 1.0, "attacks": {"pgd": {"accuracy": 0.5}}})
    )
    (row,) = (row for row in sections[0].rows if row.name == "under pgd")
    assert [cell.text for cell in row.cells] == ["–", "50.00 %"]
    assert row.change == ""


def test_what_nobody_measured_has_no_section() -> None:
    assert [s.title for s in tables.headline(run(after={"clean": 0.9}))] == ["Accuracy"]


def test_plain_warnings_get_a_name() -> None:
    found = tables.warnings(
        run(after={"clean": 1.0, "warnings": ["odd", {"check": "c", "share": 0.5}]})
    )
    assert found == [
        ("warning", "slim, as shipped", "warning", "odd"),
        ("warning", "slim, as shipped", "c", "share 0.5"),
    ]


def test_alarms_come_before_warnings_and_these_before_notes() -> None:
    found = [{"name": level, "level": level} for level in ("note", "warning", "alarm")]
    levels = [level for level, *_ in tables.warnings(run(after={"clean": 1.0, "warnings": found}))]
    assert levels == ["alarm", "warning", "note"]


def test_autoattack_beside_the_suite_has_its_images_its_interval_and_its_warnings() -> None:
    beside = {
        "robust": 0.5,
        "robust_interval": [0.4, 0.6],
        "examples": 1000,
        "warnings": [{"name": "odd", "level": "alarm", "text": "more queries"}],
    }
    files = run(after={"clean": 1.0, "autoattack": beside})
    (row,) = (row for row in tables.headline(files)[0].rows if row.name.startswith("AutoAttack"))
    assert row.name == "AutoAttack, 1,000 images"
    assert (row.cells[0].text, row.cells[0].between) == ("50.00 %", "40.00 to 60.00")
    (alarm,) = tables.warnings(files)
    assert alarm[:3] == ("alarm", "slim, as shipped, AutoAttack", "odd")
