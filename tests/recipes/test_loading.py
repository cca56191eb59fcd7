from pathlib import Path

import pytest

from advprune import recipes

MINIMAL = """
name: mine
data: {name: digits}
model: {name: small_cnn}
training: {phases: [{name: train}]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL)
    return path


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_that_comes_along_is_valid_and_named_after_its_file(name: str) -> None:
    assert recipes.load(name).name == name


@pytest.mark.parametrize("name", recipes.names())
def test_a_resolved_recipe_gives_the_same_recipe_again(name: str, tmp_path: Path) -> None:
    recipe = recipes.load(name, ["seed=3"])
    path = tmp_path / "recipe.yaml"
    path.write_text(recipes.dump(recipe))
    assert recipes.load(path) == recipe


def test_the_six_rows_of_the_table_are_there() -> None:
    rows = {"standard", "bp", "at", "at-vs", "anp", "anp-vs"}
    assert {f"mnist-{row}" for row in rows} <= set(recipes.names())


def test_vulnerability_suppression_is_all_that_anp_vs_adds_to_anp() -> None:
    with_it = recipes.load(
        "mnist-anp-vs", [f"training.phases.{i}.vulnerability_weight=0" for i in (1, 2)]
    )
    assert with_it.training == recipes.load("mnist-anp").training


def test_a_file_is_read_and_its_values_are_changed_from_outside(file: Path) -> None:
    recipe = recipes.load(file, ["threat.eps=8/255", "training.phases.train.epochs=5"])
    assert recipe.threat.eps == 8 / 255
    assert recipe.training.phases[0].epochs == 5


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match=r"Unknown recipe 'digit' \(did you mean 'digits'\?\)"):
        recipes.load("digit")


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^nowhere/mine\.yaml: no such file$"):
        recipes.load("nowhere/mine.yaml")


def test_a_file_without_keys_is_refused(file: Path) -> None:
    file.write_text("- 1\n")
    with pytest.raises(ValueError, match="a recipe is a mapping of keys to values"):
        recipes.load(file)


def test_a_complaint_names_file_key_value_and_what_is_allowed(file: Path) -> None:
    with pytest.raises(ValueError, match=r"mine\.yaml:\n") as raised:
        recipes.load(file, ["training.phases.0.epochs=0", "training.batch_size=many"])
    epochs, batch_size = str(raised.value).splitlines()[1:]
    assert epochs == "training.phases.train.epochs = 0: input should be greater than or equal to 1"
    assert batch_size.startswith("training.batch_size = 'many': input should be a valid integer")


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("sed", "'seed'"),
        ("threat.nrm", "'norm'"),
        ("training.phases.train.epoch", "'epochs'"),
        ("training.phases.train.attack.step", "'steps'"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(file: Path, key: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=rf"{key}: unknown key \(did you mean {nearest}\?\)"):
        recipes.load(file, [f"{key}=1"])


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        ("data.validaton=3", r"data: 'digits' takes nothing; .*did you mean 'validation'"),
        ("data.path=here", "data: 'digits' takes nothing; .*'path'"),
        ("data.name=mnist", "data: 'mnist' takes path; missing a required argument: 'path'"),
        ("data.name=folder:photos", None),
        ("model.widhts=[1]", "model: 'small_cnn' takes .*did you mean 'widths'"),
        ("model.start_form=x", "model: .*did you mean 'start_from'"),
        ("model.name=mine:net", None),
    ],
)
def test_options_of_data_and_model_are_checked_with_the_recipe(
    file: Path, assignment: str, complaint: str | None
) -> None:
    if complaint is None:
        recipes.load(file, [assignment])
    else:
        with pytest.raises(ValueError, match=rf"mine\.yaml:\n{complaint}"):
            recipes.load(file, [assignment])


def test_settings_that_are_no_mapping_are_told_in_words(file: Path) -> None:
    with pytest.raises(ValueError, match="data = 'digits': allowed is a mapping of keys to values"):
        recipes.load(file, ["data=digits"])


@pytest.mark.parametrize("seed", ["many", "-1"])
def test_a_wrong_seed_is_told_once(file: Path, seed: str) -> None:
    with pytest.raises(ValueError, match=rf"mine\.yaml:\nseed = '?{seed}'?: [^\n]*$"):
        recipes.load(file, [f"seed={seed}"])


def test_a_file_that_is_no_text_is_named(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"mine\.yaml: a recipe is text in UTF-8"):
        recipes.load(file)


@pytest.mark.parametrize("key", ["data", "model", "training"])
def test_what_has_no_default_must_be_given(file: Path, key: str) -> None:
    file.write_text("\n".join(line for line in MINIMAL.splitlines() if not line.startswith(key)))
    with pytest.raises(ValueError, match=f"{key}: missing"):
        recipes.load(file)


def test_a_recipe_says_only_what_differs_from_its_base(file: Path, tmp_path: Path) -> None:
    heir = tmp_path / "heir.yaml"
    heir.write_text(
        "name: heir\nbase: mine.yaml\ntraining: {phases: [{name: train, epochs: 7}, {name: on}]}\n"
    )
    recipe, base = recipes.load(heir, ["seed=3"]), recipes.load(file)
    assert (recipe.name, recipe.data, recipe.seed) == ("heir", base.data, 3)
    assert [(phase.name, phase.epochs) for phase in recipe.training.phases] == [
        ("train", 7),
        ("on", 1),
    ]


def test_a_base_may_be_one_that_comes_along(file: Path) -> None:
    file.write_text("{name: mine, base: mnist-at, seed: 1}")
    assert recipes.load(file).training.phases == recipes.load("mnist-at").training.phases


@pytest.mark.parametrize(
    ("base", "complaint"),
    [
        ("mine.yaml", "that recipe rests on this one"),
        ("other.yaml", "that recipe rests on this one"),
        ("nowhere", "Unknown recipe 'nowhere'"),
        ("[1]", "allowed is the name or the file of a recipe"),
    ],
)
def test_an_impossible_base_is_refused(file: Path, base: str, complaint: str) -> None:
    file.with_name("other.yaml").write_text("base: mine.yaml")
    file.write_text(f"{MINIMAL}base: {base}\n")
    with pytest.raises(ValueError, match=complaint):
        recipes.load(file)


def test_every_method_has_a_recipe_for_each_of_the_three_data_sets() -> None:
    rows = {
        data: {name.removeprefix(data) for name in recipes.names() if name.startswith(data)}
        for data in ("mnist-", "cifar10-", "cifar100-")
    }
    assert rows["cifar10-"] == rows["cifar100-"] <= rows["mnist-"]
