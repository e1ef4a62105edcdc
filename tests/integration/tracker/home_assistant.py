"""Runs Home Assistant, connected to a broker, and prints every state as a line of JSON.

    .venv-ha/bin/python home_assistant.py FOLDER BROKER_PORT USER PASSWORD

FOLDER holds configuration.yaml. Ends when standard input is closed. Not for this environment: `make
ha-env` makes its own.
"""

import asyncio
import json
import sys

from homeassistant import bootstrap, runner
from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.core import Event, callback


async def main(folder: str, port: int, username: str, password: str) -> None:
    config = runner.RuntimeConfig(config_dir=folder, skip_pip=True, log_no_color=True)
    home = await bootstrap.async_setup_hass(config)
    assert home is not None

    @callback
    def show(event: Event) -> None:
        if (state := event.data["new_state"]) is not None:
            line = {"entity": state.entity_id, "state": state.state} | state.attributes
            print(json.dumps(line, default=str), flush=True)

    home.bus.async_listen(EVENT_STATE_CHANGED, show)
    await home.async_start()
    # As somebody does it who adds the integration "MQTT" by hand.
    flow = await home.config_entries.flow.async_init("mqtt", context={"source": "user"})
    broker = {"broker": "127.0.0.1", "port": port, "username": username, "password": password}
    done = await home.config_entries.flow.async_configure(flow["flow_id"], broker)
    print(json.dumps({"entity": "mqtt", "state": done["type"]}), flush=True)

    await asyncio.to_thread(sys.stdin.read)
    await home.async_stop(force=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:5]))
