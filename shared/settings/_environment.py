"""Settings in the environment: which variables are settings, and which only look like some."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from typing import get_args

from pydantic import BaseModel

PREFIX = "POSEWIRE_"
SHORTHANDS = {"POSEWIRE_MODELS_DIR": ("inference", "models_dir")}
"""Variables that people type often, and the settings they stand for."""
_OTHERS = {
    # Where the configuration is, and data for the tests.
    "POSEWIRE_CONFIG",
    "POSEWIRE_TEST_DATA",
    # deploy/: ports, folders and names for Compose, the bus of a Raspberry Pi. People export them.
    "POSEWIRE_BUS_MEMORY",
    "POSEWIRE_DOMAIN",
    "POSEWIRE_HTTPS_PORT",
    "POSEWIRE_HTTP_PORT",
    "POSEWIRE_MODELS",
    "POSEWIRE_PORT",
    "POSEWIRE_PROMETHEUS_PORT",
    "POSEWIRE_WEBCAM",
}
_OTHERS_BEGIN = ("POSEWIRE_GRAFANA_",)


def unknown_variables(
    settings: type[BaseModel], environment: Mapping[str, str] = os.environ
) -> list[str]:
    """Return a sentence for each variable that begins as a setting does but is none.

    They have no effect, and nothing fails because of them: a shell may hold variables for Compose,
    and Kubernetes may make some for a service called posewire-something.
    """
    sections = set(settings.model_fields)
    known = sorted([*SHORTHANDS, *_names(settings)])
    told = []
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in SHORTHANDS or variable in _OTHERS:
            continue
        if variable.startswith(_OTHERS_BEGIN):
            continue
        if variable[len(PREFIX) :].lower().split("__")[0] not in sections:
            near = difflib.get_close_matches(variable, known, n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]}?" if near else ""
            told.append(
                f"the environment variable {variable} is not a setting and is ignored{hint}"
            )
    return told


def _names(model: type[BaseModel], prefix: str = PREFIX) -> Iterator[str]:
    """Names of the variables for all settings, but for those within tables with free names."""
    for name, field in model.model_fields.items():
        variable = prefix + name.upper()
        parts = (field.annotation, *get_args(field.annotation))
        nested = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        if nested:
            yield from _names(nested[0], f"{variable}__")
        else:
            yield variable
