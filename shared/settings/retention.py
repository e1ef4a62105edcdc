"""How long what was seen is kept."""

from __future__ import annotations

from pydantic import Field, model_validator

from posewire.shared.settings._base import Section

_EVENTS = "Events are removed after so many days; kept for ever by default."
_VISITS = (
    "Visits are removed after so many days, with their events; kept for ever by default. Events "
    "may go sooner."
)
_SNAPSHOTS = "Pictures of events are removed after so many days (api.snapshots)."


class CameraRetention(Section):
    """What holds for one camera in place of [retention]."""

    events_days: float | None = Field(None, ge=1, le=36_500, description=_EVENTS)
    visits_days: float | None = Field(None, ge=1, le=36_500, description=_VISITS)
    snapshots_days: float | None = Field(None, gt=0, le=36_500, description=_SNAPSHOTS)

    @model_validator(mode="after")
    def _events_go_first(self) -> CameraRetention:
        events, visits = self.events_days, self.visits_days
        if events is not None and visits is not None and events > visits:
            raise ValueError(
                f"events_days ({events:g}) must not be above visits_days ({visits:g}): an event "
                "goes with its visit"
            )
        return self


class RetentionSettings(CameraRetention):
    """How long what was seen is kept; the tracker removes what is older."""

    snapshots_days: float | None = Field(30.0, gt=0, le=36_500, description=_SNAPSHOTS)

    def of(self, camera: CameraRetention) -> CameraRetention:
        """Return what holds for a camera: its own, and where it says nothing, this."""
        own = camera.model_dump(exclude_none=True)
        visits = own.get("visits_days", self.visits_days)
        events = own.get("events_days", self.events_days)
        if visits is not None:
            events = visits if events is None else min(events, visits)
        return CameraRetention(
            events_days=events,
            visits_days=visits,
            snapshots_days=own.get("snapshots_days", self.snapshots_days),
        )
