import subprocess
import sys

import pytest

import advprune


def in_fresh_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, advprune; advprune.__version__; print('torch' in sys.modules)"
    assert in_fresh_python(code) == "False"


@pytest.mark.parametrize("name", advprune.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(advprune, name) is not None
    assert name in dir(advprune)


def test_a_wrong_name_is_an_attribute_error_that_says_it() -> None:
    with pytest.raises(AttributeError, match="'advprune' has no attribute 'slimm'"):
        _ = advprune.slimm


def test_vulnerability_is_the_function_even_after_its_module_was_imported() -> None:
    code = (
        "import advprune as ap; import advprune.vulnerability; "
        "from advprune.vulnerability import Vulnerability; "
        "print(ap.vulnerability.__name__, callable(ap.vulnerability), Vulnerability.__name__)"
    )
    assert in_fresh_python(code) == "vulnerability True Vulnerability"
