"""The exception tree. Every text says what was expected, what came, and what to do."""


class PosewireError(Exception):
    """Base of all errors that Posewire raises on purpose; its text is meant for people."""


class ConfigError(PosewireError):
    """A setting is unknown, out of bounds, or contradicts another."""


class SourceError(PosewireError):
    """A source cannot be opened or read: missing file, no such camera, unreachable host."""


class ModelError(PosewireError):
    """A model is unknown, cannot be had, fails its checksum, or cannot be loaded."""


class DeviceError(PosewireError):
    """An inference device was asked for that this machine does not have."""


class MessageError(PosewireError):
    """Bytes on the bus are not a message of ours, or of a schema newer than this program's."""


class BusUnavailable(PosewireError):
    """The bus cannot be reached or went away in the middle of a call; retry after a pause."""


class LeaseLost(PosewireError):
    """Another worker took over the camera; stop working on it."""


class StoreError(PosewireError):
    """The database refuses what it was asked for (not: cannot be reached)."""


class StoreRefused(StoreError):
    """The database will never take these values: out of range, no text, against a constraint."""


class StoreUnavailable(PosewireError):
    """The database cannot be reached or went away in the middle of a call; retry after a pause."""
