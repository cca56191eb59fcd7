import json

import torch

from advprune.evaluation import environment


def test_the_environment_fits_in_json_and_names_what_matters() -> None:
    found = json.loads(json.dumps(environment()))
    assert found["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    assert found["processor"]
