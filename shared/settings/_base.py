"""The base of every settings section: unknown keys are errors, values are checked once."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of ``posewire.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
