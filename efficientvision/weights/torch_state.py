"""Finds the weights of a network in a PyTorch file, however a trainer stored them.

Trainers store the state dict under a key of a training checkpoint, add a prefix to every name,
insert names of wrapper modules, and store a moving average beside the weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from efficientvision.weights import edgenet_names
from efficientvision.weights.strangers import Refused
from efficientvision.weights.torch_names import NotRead, UnreadKey
from efficientvision.weights.torch_tensors import StoredTensor

# Prefix of the name of a moving average; no name of a layer begins like this.
AVERAGE = "average of "
_MAX_NAME = 300
_MAX_DEPTH = 3
_Tensors = dict[str, StoredTensor]
# Keys of the state dict in a training checkpoint, beside the optimizer and the epoch.
_STATE_DICT_KEYS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights"),
    *("net_state_dict", "network_state_dict", "params", "parameters", "module", "checkpoint"),
    *("model_weights", "model_dict", "model_params", "net_dict", "best_state_dict", "best_model"),
    *("state", "student"),
)
# Keys of its moving average.
_AVERAGE_KEYS = (
    *("state_dict_ema", "ema_state_dict", "model_ema_state_dict", "model_ema", "ema_model"),
    *("ema", "params_ema"),
)
_WITHIN_AVERAGE = (*_STATE_DICT_KEYS, "shadow", "ema_state_dict", "averages")
# Components that wrappers insert anywhere in a name: data-parallel training, torch.compile,
# activation checkpointing, sharded training. No layer of ours has such a name.
_WRAPPED = {
    *("module", "_orig_mod", "_forward_module"),
    *("_checkpoint_wrapped_module", "_fsdp_wrapped_module"),
}
# Names of networks within a training module; if there are several, the first one counts.
_NETWORKS = ("model", "net", "network", "_model", "student")
_AVERAGED = re.compile(r"(?:^|[._])(?:ema|averaged?|avg)(?:[._]|$)")
# Parts of weights that PyTorch recomputes from other tensors in each forward pass.
_COMPUTED = re.compile(r"\.(?:\w+_orig|weight_g|parametrizations\.\w+\.original\d*)$")
_COUNTERS = {edgenet_names.STEP_COUNTER, "n_averaged"}


@dataclass(frozen=True)
class StateDict:
    """Weights by their plain names.

    Attributes:
        tensors: Name -> description of the tensor.
        averages: Name -> description of its moving average; name and shape are those of one of
            `tensors`.
        masks: Name, or `AVERAGE` + name -> mask to multiply the value by (pruning).
        notes: Warnings for the user, as sentences without a full stop.
    """

    tensors: _Tensors
    averages: _Tensors = field(default_factory=dict)
    masks: _Tensors = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def find_state_dict(value: object) -> StateDict:
    """Finds the weights in an unpickled value, and their moving averages if there are any.

    Raises:
        Refused: There are no weights, or they are not stored as plain tensors.
    """
    if not isinstance(value, dict):
        kind = "Python object" if isinstance(value, NotRead) else type(value).__name__
        raise Refused(f"holds a {kind}, not a state dict: save model.state_dict()")
    averages = _under(value, _AVERAGE_KEYS)
    named = _under(value, _STATE_DICT_KEYS) or _tensors(value) or _under_any_key(value)
    tensors, more_averages = _plain(named or averages)
    averages = (_plain(averages)[0] or more_averages) if named else {}
    if not tensors:
        raise Refused(_nothing_found(value))
    known = {**tensors, **averages}
    tensors, masks = _unpruned(tensors, known)
    averages, average_masks = _unpruned(averages, known)
    masks |= {AVERAGE + name: mask for name, mask in average_masks.items()}
    fitting = {
        name: average
        for name, average in averages.items()
        if name in tensors and tensors[name].shape == average.shape
    }
    notes = tuple(_notes(value, averages, fitting)) if named else ()
    return StateDict(tensors, fitting, masks, notes)


def _nothing_found(value: dict) -> str:
    unread = next((key for key in value if isinstance(key, UnreadKey)), None)
    if unread is not None:
        return f"holds a dictionary with a key that is a {unread.kind}, and no state dict"
    return (
        "holds no state dict: expected names and tensors, or a training checkpoint with them under "
        + ", ".join(map(repr, _STATE_DICT_KEYS))
    )


def _under(value: dict, keys: Sequence[str], depth: int = _MAX_DEPTH) -> _Tensors:
    """The tensors under the first of these keys that has any, a few dictionaries deep."""
    inner_keys = _WITHIN_AVERAGE if keys is _AVERAGE_KEYS else _STATE_DICT_KEYS
    for key in keys:
        inner = value.get(key)
        if isinstance(inner, dict):
            tensors = _tensors(inner) or (_under(inner, inner_keys, depth - 1) if depth else {})
            if tensors:
                return tensors
    return {}


def _under_any_key(value: dict) -> _Tensors:
    """The tensors under the only key that holds a network of ours."""
    found = {}
    for key, inner in value.items():
        if isinstance(key, str) and key not in _AVERAGE_KEYS and isinstance(inner, dict):
            tensors = _tensors(inner)
            if edgenet_names.encoder_places(tensors):
                found[key] = tensors
    if len(found) > 1:
        keys = " and ".join(repr(key[:40]) for key in list(found)[:4])
        raise Refused(f"holds networks under {keys}: save the state dict of one of them alone")
    return next(iter(found.values()), {})


def _tensors(value: dict) -> _Tensors:
    """The tensors among the values of a dictionary."""
    tensors = {k: v for k, v in value.items() if isinstance(v, StoredTensor)}
    for name in tensors:
        if not isinstance(name, str) or not name.isprintable() or len(name) > _MAX_NAME:
            raise Refused("gives a tensor a name that is no name of a layer")
    return tensors


def _plain(tensors: _Tensors) -> tuple[_Tensors, _Tensors]:
    """The network's tensors by names without wrappers, and moving averages found among them."""
    tensors = _renamed(tensors, _without_wrapped) or tensors
    places = edgenet_names.encoder_places(tensors)
    if not places:
        return _without_common_prefix(tensors), {}
    averaged = [place for place in places if _AVERAGED.search(place)]
    network = _choose([place for place in places if place not in averaged] or averaged)
    averages = {}
    if len(averaged) == 1 and averaged[0] != network:
        place = averaged[0]
        averages = {n.removeprefix(place): t for n, t in tensors.items() if n.startswith(place)}
        tensors = {n: t for n, t in tensors.items() if not n.startswith(place)}
    if not network:
        return tensors, averages
    # A classifier may be beside its backbone, in the same module.
    parts = network.split(".")[:-1]
    outer = [".".join(parts[:count]) + "." for count in range(len(parts), 0, -1)]

    def plain(name: str) -> str:
        return name.removeprefix(next((o for o in outer if name.startswith(o)), ""))

    return _renamed(tensors, plain) or tensors, averages


def _choose(places: Collection[str]) -> str | None:
    """Returns the network's prefix among several; None if it is ambiguous."""
    if "" in places:
        return ""
    if len(places) == 1:
        return next(iter(places))
    for name in _NETWORKS:
        mine = [place for place in places if place.startswith(f"{name}.")]
        if mine:
            return mine[0] if len(mine) == 1 else None
    return None


def _renamed(tensors: _Tensors, rename: Callable[[str], str]) -> _Tensors:
    """The tensors under new names; empty if two names would collide."""
    renamed = {rename(name): tensor for name, tensor in tensors.items()}
    return renamed if len(renamed) == len(tensors) else {}


def _without_wrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPED)


def _without_common_prefix(tensors: _Tensors) -> _Tensors:
    """Removes the prefix that most names share, for a network that is not one of ours."""
    while True:
        for wrapper in _NETWORKS:
            prefix = f"{wrapper}."
            if 2 * sum(name.startswith(prefix) for name in tensors) > len(tensors):
                break
        else:
            return tensors
        plain = _renamed(tensors, lambda name, prefix=prefix: name.removeprefix(prefix))
        if not plain:
            return tensors
        tensors = plain


def _unpruned(tensors: _Tensors, known: Mapping[str, StoredTensor]) -> tuple[_Tensors, _Tensors]:
    """Renames pruned weights to their plain names and finds their masks.

    Raises:
        Refused: PyTorch computes a weight in a way that the file does not describe.
    """
    masks, plain = {}, {}
    for name, tensor in tensors.items():
        own = name.removesuffix("_orig")
        mask = known.get(f"{own}_mask")
        if own != name and mask is not None and mask.shape == tensor.shape:
            plain[own], masks[own] = tensor, mask
        elif _COMPUTED.search(name):
            raise Refused(
                f"stores {name[:100]}, from which PyTorch computes a weight: call prune.remove, "
                "remove_weight_norm, remove_spectral_norm or remove_parametrizations, whichever "
                "was applied, and save model.state_dict() again"
            )
        elif not (name.endswith("_mask") and f"{name.removesuffix('_mask')}_orig" in tensors):
            plain[name] = tensor
    return plain, masks


def _notes(value: dict, averages: _Tensors, fitting: _Tensors) -> Iterator[str]:
    """Why moving averages in the file are not used."""
    others = [n for n in averages if n not in fitting and n.rpartition(".")[2] not in _COUNTERS]
    if averages and not fitting:
        yield (
            "its moving averages were not loaded: they have other names or shapes than its "
            f"weights, for example {next(iter(averages))[:100]}"
        )
    elif others:
        yield (
            f"{len(others)} of its moving averages belong to none of its weights, for example "
            f"{others[0][:100]}"
        )
    if not averages:
        for key in _AVERAGE_KEYS:
            if isinstance(value.get(key), NotRead | dict | list | tuple) and value[key]:
                yield (
                    f"its value of {key!r} was not loaded: expected moving averages under the "
                    "names of the weights"
                )
