"""What all services agree on: messages, bus, settings, skeleton, telemetry."""
