"""Whether a request has just the shape that an official SDK's types describe: no field too many, each of its type.

The types are the SDKs' ``TypedDict`` parameters, so what counts as known is what the makers say it is.
"""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, NoReturn, NotRequired, Required

import typing_extensions
from typing_extensions import is_typeddict

Path = tuple[str | int, ...]
Fault = Literal["missing", "extra", "value"]
More = Mapping[str, frozenset[str]]
"""Names of ``TypedDict`` classes, with further fields that are known there (dialects); ``""`` is the body itself."""


_MARKERS = (Required, NotRequired, typing.Annotated)


class Misshapen(Exception):
    """The first thing that is wrong, and where."""

    def __init__(self, path: Path, fault: Fault, told: str) -> None:
        super().__init__(f"{dotted(path)}: {told}")
        self.path = path
        self.fault = fault
        self.told = told


class _Rules(NamedTuple):
    more: More
    spare: More


def dotted(path: Path) -> str:
    """``messages.0.content``."""
    return ".".join(map(str, path))


def bracketed(path: Path) -> str:
    """``messages[0].content``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def check_shape(
    body: object, shape: Any, *, more: More | None = None, without: Iterable[str] = (), spare: More | None = None
) -> None:
    """Raise Misshapen unless ``body`` is a ``shape``. ``without`` are its top-level fields that are not to be sent,
    ``spare`` those that the API doesn't miss, though the SDK's types do."""
    assert isinstance(body, dict), "the body must be an object"
    for name in without:
        if name in body:
            raise Misshapen((name,), "extra", "Extra inputs are not permitted")
    known = frozenset((more or {}).get("", ()))
    rules = _Rules(more or {}, spare or {})
    _check({name: value for name, value in body.items() if name not in known}, shape, (), rules)


def _check(value: object, shape: Any, path: Path, rules: _Rules) -> None:
    origin = typing.get_origin(shape)
    if origin in _MARKERS:
        _check(value, typing.get_args(shape)[0], path, rules)
    elif origin is typing.Union or isinstance(shape, types.UnionType):
        _check_union(value, typing.get_args(shape), path, rules)
    elif origin in (Literal, typing_extensions.Literal):
        if value not in typing.get_args(shape) or isinstance(value, bool) != (type(typing.get_args(shape)[0]) is bool):
            _wrong(path, f"Input should be one of {typing.get_args(shape)}, not {value!r}")
    elif is_typeddict(shape):
        _check_fields(value, shape, path, rules)
    elif shape in (Any, object):
        return
    elif isinstance(origin, type) and issubclass(origin, collections.abc.Mapping):
        if not isinstance(value, dict):
            _wrong(path, "Input should be an object")
        for name, inner in value.items():
            _check(inner, typing.get_args(shape)[1], (*path, name), rules)
    elif isinstance(origin, type) and issubclass(origin, collections.abc.Iterable):
        if not isinstance(value, list):
            _wrong(path, "Input should be a valid array")
        for index, inner in enumerate(value):
            _check(inner, typing.get_args(shape)[0], (*path, index), rules)
    elif not _is_plain(value, shape):
        _wrong(path, f"Input should be {getattr(shape, '__name__', shape)}, not {value!r}")


def _is_plain(value: object, shape: Any) -> bool:
    if shape is None or shape is type(None):
        return value is None
    if shape is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if shape is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return shape in (str, bool) and isinstance(value, shape)


def _check_fields(value: object, shape: Any, path: Path, rules: _Rules) -> None:
    if not isinstance(value, dict):
        _wrong(path, f"Input should be an object, not {value!r}")
    hints = _hints(shape)
    known = rules.more.get(shape.__name__, frozenset())
    spare = rules.spare.get(shape.__name__, frozenset())
    for name, inner in value.items():
        if name in hints:
            _check(inner, hints[name], (*path, name), rules)
        elif name not in known and getattr(shape, "__pydantic_config__", {}).get("extra") != "allow":
            raise Misshapen((*path, name), "extra", "Extra inputs are not permitted")
    for name in hints:
        if name not in value and name not in spare and _is_required(shape, name):
            raise Misshapen((*path, name), "missing", "Field required")


def _check_union(value: object, shapes: tuple[Any, ...], path: Path, rules: _Rules) -> None:
    """The fault told is that of the member whose ``type`` and ``role`` fit; among several the one that got furthest."""
    faults: list[Misshapen] = []
    for shape in sorted(shapes, key=is_typeddict, reverse=True):
        if (
            isinstance(value, dict)
            and isinstance(shape, type)
            and not (is_typeddict(shape) and _is_meant(value, shape))
        ):
            continue
        try:
            return _check(value, shape, path, rules)
        except Misshapen as fault:
            faults.append(fault)
    raise max(faults, key=lambda fault: len(fault.path), default=Misshapen(path, "value", f"unknown kind: {value!r}"))


def _is_meant(value: dict[str, Any], shape: Any) -> bool:
    hints = _hints(shape)
    for name in ("type", "role"):
        if name not in hints:
            continue
        if name not in value:
            if _is_required(shape, name):
                return False
            continue
        try:
            _check(value[name], hints[name], (), _Rules({}, {}))
        except Misshapen:
            return False
    return True


def _is_required(shape: Any, name: str) -> bool:
    """The class itself can't tell, since its annotations are text."""
    origin = typing.get_origin(_hints(shape)[name])
    return origin is Required or (name in shape.__required_keys__ and origin is not NotRequired)


def _wrong(path: Path, told: str) -> NoReturn:
    raise Misshapen(path, "value", told)


@cache
def _hints(shape: Any) -> dict[str, Any]:
    return typing.get_type_hints(shape, include_extras=True)
