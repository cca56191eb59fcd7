"""From a run's state to a checkpoint's tensors and JSON, and back to the bit."""

import dataclasses
import hashlib
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from advprune.gates import GatedModel, shape_state
from advprune.training import checkpoint, host, optimisers, phases
from advprune.training.budget import Controller
from advprune.training.cutting import show_kept
from advprune.training.equipping import fresh
from advprune.training.parts import GateSettings
from advprune.training.settings import Training
from advprune.training.state import Best, Clock, Position, Run, Size, State

Tensors = dict[str, Tensor]
Json = dict[str, Any]

SCHEMA = 1
"""Of the state beside the tensors; raised when older ones can no longer be read."""

BEST = "best"
"""The checkpoint of the best network of the last phase."""

FOLDED = "gated"
"""The checkpoint of the gated network that the slim phase has folded."""


def save(run: Run, state: State) -> None:
    """Writes the latest checkpoint, then deletes those that are no longer kept."""
    state.clock.tick()
    # one within an epoch and one at its border may hold as many steps, and need names of their own
    name = f"step-{state.position.total:09d}-epoch-{state.epochs(run):05d}"
    folder = run.checkpoints / name
    checkpoint.write(folder, _tensors(state), _json(run, state))
    checkpoint.prune(run.checkpoints, run.settings.keep_checkpoints)


def save_model(run: Run, state: State, name: str) -> None:
    """Writes the network alone, as checkpoint ``name``."""
    tensors = _prefixed("model", dict(state.model.state_dict()))
    checkpoint.write(run.checkpoints / name, tensors, _json(run, state))


def load_model(run: Run, name: str) -> nn.Module:
    """The network of a checkpoint, on the run's device."""
    return _model(run, *checkpoint.read(run.checkpoints / name))


def resume(run: Run, folder: Path) -> State:
    """The state that a checkpoint holds.

    Raises:
        ValueError: Settings, data or threat are not those of the run that wrote it, or another
            version of advprune, with another schema, wrote it.
    """
    tensors, kept = checkpoint.read(folder)
    if kept["schema"] != SCHEMA:
        raise ValueError(
            f"{folder} holds a checkpoint of schema {kept['schema']}; this advprune resumes"
            f" schema {SCHEMA}: go on with the version that began the run, or begin a new one"
        )
    _check_same(run, kept)
    model, position = _model(run, tensors, kept), Position(**kept["position"])
    state = fresh(run, model, position, tensors.get("unit_seconds"))
    _load(state, tensors, kept)
    return state


def threads(folder: Path) -> int:
    """The number of threads that a checkpoint was written with."""
    return int(checkpoint.read_state(folder)["numerics"]["threads"])


def _tensors(state: State) -> Tensors:
    return {
        **_prefixed("model", dict(state.model.state_dict())),
        **_prefixed("average", state.average),
        **_prefixed("sums", state.sums),
        **_prefixed("masks", state.masks),
        **_prefixed("duals", state.duals),
        **_prefixed("learned", {} if state.learned is None else state.learned.tensors),
        **{
            f"optimiser.{name}.{key}": value
            for name, group in state.groups.items()
            for key, value in optimisers.tensors(group.optimiser, group.parameters).items()
        },
        "idle": state.idle,
        **({} if state.perturbation is None else {"perturbation": state.perturbation}),
        **({} if state.unit_seconds is None else {"unit_seconds": state.unit_seconds}),
        "random.order": state.order_at_start,
        "random.attack": state.attack.get_state(),
        "random.global": torch.get_rng_state(),
        **{f"random.cuda.{n}": s for n, s in enumerate(_cuda_states())},
    }


def _json(run: Run, state: State) -> Json:
    return {
        "schema": SCHEMA,
        "position": dataclasses.asdict(state.position),
        "stage": state.phase(run).on,
        "shape": shape_state(state.model) if isinstance(state.model, GatedModel) else None,
        "controller": dataclasses.asdict(state.controller),
        "affordable": state.affordable,
        "best": None if state.best is None else dataclasses.asdict(state.best),
        "latest": state.latest,
        "size": None if state.size is None else dataclasses.asdict(state.size),
        "seconds": {"epoch": state.clock.epoch, "run": state.clock.run, "cpu": state.clock.cpu},
        "numerics": host.numerics(),
        "given": _given(run),
    }


def _model(run: Run, tensors: Tensors, kept: Json) -> nn.Module:
    model = phases.shaped(run, kept["stage"], kept["shape"], lambda: load_model(run, FOLDED))
    model.load_state_dict(_part(tensors, "model"))
    return model.to(run.fabric.device)


def _load(state: State, tensors: Tensors, kept: Json) -> None:
    device = next(state.model.parameters()).device
    for name, group in state.groups.items():
        moments = _part(tensors, f"optimiser.{name}")
        optimisers.load(group.optimiser, group.parameters, moments)
    state.average = {name: value.to(device) for name, value in _part(tensors, "average").items()}
    state.sums = {name: value.to(device) for name, value in _part(tensors, "sums").items()}
    state.masks = {name: value.to(device) for name, value in _part(tensors, "masks").items()}
    state.duals = {name: value.to(device) for name, value in _part(tensors, "duals").items()}
    if state.learned is not None:
        held = _part(tensors, "learned")
        for name, value in state.learned.tensors.items():
            value.copy_(held[name])
        show_kept(state)
    state.idle = tensors["idle"]
    if "perturbation" in tensors:
        state.perturbation = tensors["perturbation"].to(device)
    state.controller = Controller(**kept["controller"])
    state.affordable = kept["affordable"]
    state.best = _best(kept)
    state.latest = kept["latest"]
    state.size = None if kept["size"] is None else Size(**kept["size"])
    state.clock = Clock(**kept["seconds"])
    state.order_at_start = tensors["random.order"]
    state.attack.set_state(tensors["random.attack"])
    torch.set_rng_state(tensors["random.global"])
    for number, value in _part(tensors, "random.cuda").items():
        torch.cuda.set_rng_state(value, int(number))


def _best(kept: Json) -> Best | None:
    # its clean accuracy was not kept at first: then any equally robust one comes before it
    return None if kept["best"] is None else Best(**{"clean": 0.0, **kept["best"]})


def _given(run: Run) -> Json:
    return {
        "settings": run.settings.model_dump(mode="json", exclude={"keep_checkpoints"}),
        "gates": run.gates.model_dump(mode="json"),
        "threat": {"norm": run.threat.norm, "eps": run.threat.eps, "bounds": [*run.threat.bounds]},
        "networks": {name: fingerprint(network) for name, network in run.networks.items()},
        "train": run.splits.train.fingerprint(),
        "validation": run.splits.validation.fingerprint(),
    }


def _check_same(run: Run, kept: Json) -> None:
    given, before = _given(run), dict(kept["given"])
    # what was written before a key was added meant its default
    before["gates"] = GateSettings.model_validate(before["gates"]).model_dump(mode="json")
    settings = Training.model_validate(before["settings"])
    before["settings"] = settings.model_dump(mode="json", exclude={"keep_checkpoints"})
    before.setdefault("networks", {})
    changed = sorted(key for key in given if given[key] != before.get(key))
    if changed:
        raise ValueError(
            f"the run in {run.out} had other {', '.join(changed)}: resume it as it was begun, or"
            " begin a new one in another folder"
        )
    if differences := host.differences(kept["numerics"]):
        warnings.warn(
            f"resumed, but not to the bit: {'; '.join(differences)}", RuntimeWarning, stacklevel=2
        )


def fingerprint(network: nn.Module) -> str:
    """SHA-256 of a network's tensors and their names."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _cuda_states() -> list[Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []


def _prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def _part(tensors: Tensors, prefix: str) -> Tensors:
    start = f"{prefix}."
    return {k.removeprefix(start): value for k, value in tensors.items() if k.startswith(start)}
