"""The tracker's state as bytes: as few as bring it back bit by bit.

A tracker that was saved and loaded has to go on exactly as the one that was not, so numbers are
rounded where they enter the state, in the running tracker too, and never when it is saved. Arrays
are then written in the shortest of these forms that gives back the very same numbers:

    decimals  whole multiples of .001, .0001 or .00001, as integers of 16 or 32 bits
    singles   numbers that fit 32 bits
    doubles   all others

Bytes of the same weight lie together, which zlib likes: the high ones hardly differ.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
import numpy as np

from posewire.tracker.geometry import Array

_DECIMALS = (3, 4, 5)
_FORMS: dict[str, np.dtype[Any]] = {
    "d": np.dtype("<f8"),
    "s": np.dtype("<f4"),
    "h": np.dtype("<i2"),
    "i": np.dtype("<i4"),
}


def single(values: Array) -> Array:
    """Return the values rounded to what 32 bits hold."""
    return values.astype(np.float32).astype(np.float64)


def pack(array: Array) -> list[Any]:
    """Return an array as [shape, form, decimals, bytes]."""
    with np.errstate(over="ignore"):  # too large for a short form, that is all
        return _packed(array)


def _packed(array: Array) -> list[Any]:
    for decimals in _DECIMALS:
        scaled = np.rint(array * 10**decimals)
        if np.array_equal(scaled / 10**decimals, array) and not np.signbit(array[array == 0]).any():
            most = np.abs(scaled).max(initial=0)
            if most < 2**31:
                form = "h" if most < 2**15 else "i"
                return [list(array.shape), form, decimals, _planes(scaled, form)]
    form = "s" if np.array_equal(single(array), array) else "d"
    return [list(array.shape), form, 0, _planes(array, form)]


def unpack(value: Any) -> Array:
    """Return the array that ``pack`` was given. Raises ValueError."""
    try:
        if not (len(value) and isinstance(value[-1], bytes)):
            return np.array(value, dtype=np.float64)  # lists, as smoothing once had them
        if len(value) == 2:  # as arrays were written before there were forms
            return np.array(np.frombuffer(value[1], np.float64).reshape(value[0]))
        shape, form, decimals, data = value
        kind = _FORMS[form]
        planes = np.frombuffer(data, np.uint8).reshape(kind.itemsize, -1)
        numbers = np.ascontiguousarray(planes.T).view(kind).reshape(shape).astype(np.float64)
        return np.asarray(numbers / 10**decimals if form in "hi" else numbers)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"expected an array: {error}") from None


def dump(state: msgspec.Struct) -> bytes:
    """Return ``state``, compressed."""
    return zlib.compress(_encoder.encode(state), 9)


def plain(data: bytes) -> bytes:
    """Return msgpack of what ``dump`` returned; states of before it compressed pass as they are.

    Raises ValueError.
    """
    if data[:1] != b"\x78":
        return data
    try:
        return zlib.decompress(data)
    except zlib.error as error:
        raise ValueError(str(error)) from None


def _planes(values: Array, form: str) -> bytes:
    numbers = np.ascontiguousarray(values.astype(_FORMS[form])).reshape(-1)
    return bytes(numbers.view(np.uint8).reshape(-1, numbers.itemsize).T.tobytes())


def _encoded(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return pack(value)
    raise TypeError(f"{type(value).__name__} cannot be saved")


_encoder = msgspec.msgpack.Encoder(enc_hook=_encoded)
