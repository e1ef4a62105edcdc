"""The posewire command. Only what a command needs is imported, and only when it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from posewire.shared.errors import PosewireError

app = typer.Typer(
    help="Watches cameras, finds people, estimates their poses, follows each of them, "
    "and writes down who came and who left.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(help="The pose and detection models.", no_args_is_help=True)
events_app = typer.Typer(help="The events in the database.", no_args_is_help=True)
db_app = typer.Typer(help="The database: its schema, and copies.", no_args_is_help=True)
config_app = typer.Typer(help="The configuration.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.add_typer(events_app, name="events")
app.add_typer(db_app, name="db")
app.add_typer(config_app, name="config")

# typer reads these annotations at run time, and on Python 3.10 it wants Optional.
Config = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--config", "-c", help="posewire.toml; ./posewire.toml is found by itself."),
]
Device = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--device", help="AUTO, CPU, GPU, NPU or MYRIAD."),
]
Precision = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--precision", help="FP16-INT8, FP16 or FP32."),
]
Preset = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--preset", help="fast, balanced or accurate: work done on each frame."),
]
Model = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--model", help="auto, or a pair or pose model from 'posewire models list'."),
]
Source = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--source", help="A file, folder, URL or device to play, or a source's name in the file."
    ),
]
LogLevel = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--log-level", help="debug, info, warning or error."),
]
DataDir = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--data-dir", help="Where the embedded servers keep their data."),
]


@contextmanager
def _errors() -> Iterator[None]:
    """Show errors that are meant for people as one text, without a traceback; exit code 2."""
    from posewire.shared.settings import Settings, unknown_variables

    for warning in unknown_variables(Settings):
        typer.secho(f"posewire: {warning}", fg=typer.colors.YELLOW, err=True)
    try:
        yield
    except PosewireError as error:
        typer.secho(f"posewire: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _inference(
    device: str | None, precision: str | None, model: str | None, preset: str | None = None
) -> dict[str, dict[str, Any]]:
    given = {
        "device": device and device.upper(),
        "precision": precision and precision.upper(),
        "model": model,
        "preset": preset and preset.lower(),
    }
    chosen = {key: value for key, value in given.items() if value}
    return {"inference": chosen} if chosen else {}


def _telemetry(log_level: str | None) -> dict[str, dict[str, Any]]:
    return {"telemetry": {"log_level": log_level}} if log_level else {}


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Options of the command as a whole."""
    if version:
        typer.echo(f"posewire {metadata.version('posewire')}")
        raise typer.Exit


@app.command()
def demo(
    config: Config = None,
    source: Source = None,
    device: Device = None,
    precision: Precision = None,
    model: Model = None,
    preset: Preset = None,
    data_dir: DataDir = None,
    port: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--port", help="Port of the page; 8000, or a free one where it is taken."),
    ] = None,
    duration: Annotated[
        float, typer.Option("--duration", min=0, help="Stop after so many seconds; 0: never.")
    ] = 0,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page.")] = False,
    log_level: LogLevel = None,
) -> None:
    """Run everything on this machine, with servers of its own, and play the sample clip."""
    from posewire.launcher.commands import system

    with _errors():
        system.demo(
            config,
            _inference(device, precision, model, preset) | _telemetry(log_level),
            source=source,
            data_dir=data_dir,
            port=port,
            duration_s=duration,
            open_browser=open_browser,
        )


@app.command()
def up(
    config: Config = None,
    source: Source = None,
    device: Device = None,
    precision: Precision = None,
    model: Model = None,
    preset: Preset = None,
    data_dir: DataDir = None,
    log_level: LogLevel = None,
) -> None:
    """Run the four services as configured; servers that are not configured are started, too."""
    from posewire.launcher.commands import system

    with _errors():
        overrides = _inference(device, precision, model, preset) | _telemetry(log_level)
        system.up(config, overrides, source=source, data_dir=data_dir)


@app.command()
def run(
    service: Annotated[str, typer.Argument(help="capture, inference, tracker or api.")],
    config: Config = None,
    camera: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--camera", help="Serve only this camera; may be repeated; all: every one."),
    ] = None,
    source: Source = None,
    device: Device = None,
    precision: Precision = None,
    model: Model = None,
    preset: Preset = None,
    log_level: LogLevel = None,
) -> None:
    """Run one service in the foreground: what containers and systemd start."""
    from posewire.launcher.commands import run as command

    with _errors():
        overrides = _inference(device, precision, model, preset) | _telemetry(log_level)
        command.run(service, config, overrides, source=source, cameras=camera or ())


@app.command()
def analyze(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="Video, folder or glob of images, device, URL.")
    ],
    events: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--events", help="Write events as CSV."),
    ] = None,
    poses: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--poses", help="Write people and keypoints as JSON lines."),
    ] = None,
    mot: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--mot", help="Write tracks in MOTChallenge's format."),
    ] = None,
    video: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--video", help="Write an MP4 with the overlay drawn in."),
    ] = None,
    frames: Annotated[
        int, typer.Option("--frames", min=0, help="Stop after so many frames; 0: never.")
    ] = 0,
    camera: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--camera", help="Take the zones, lines and masks of this camera."),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    config: Config = None,
    device: Device = None,
    precision: Precision = None,
    model: Model = None,
    preset: Preset = None,
    log_level: LogLevel = None,
) -> None:
    """Analyse a file, folder, device or stream without any servers."""
    from posewire.launcher.commands import analyze as command

    with _errors():
        overrides = _inference(device, precision, model, preset) | _telemetry(
            log_level or "warning"
        )
        outputs = command.Outputs(events, poses, mot, video)
        command.analyze(
            source, config, overrides, outputs, camera=camera, most_frames=frames, as_json=json_
        )


@app.command()
def doctor(
    config: Config = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Check this machine: what works, and what to do about the rest."""
    from posewire.launcher.commands import doctor as command

    with _errors():
        if not command.doctor(config, as_json=json_):
            raise typer.Exit(1)


@models_app.command("list")
def models_list(
    as_json: Annotated[bool, typer.Option("--json", help="All that is known, as JSON.")] = False,
    config: Config = None,
) -> None:
    """List the known models, with their licences and what they were trained on."""
    from posewire.launcher.commands import models

    with _errors():
        models.show(config, as_json=as_json)


@models_app.command("pull")
def models_pull(
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help="A model or a pair; none: what the configuration means."),
    ] = None,
    precision: Precision = None,
    model: Model = None,
    config: Config = None,
) -> None:
    """Download models into the cache."""
    from posewire.launcher.commands import models

    with _errors():
        models.fetch(config, name, _inference(None, precision, model))


@models_app.command("verify")
def models_verify(config: Config = None) -> None:
    """Check the files that are here against their known digests."""
    from posewire.launcher.commands import models

    with _errors():
        if not models.verify(config):
            raise typer.Exit(1)


@events_app.command("export")
def events_export(
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="File to write; standard output by default."),
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="csv, ndjson or json.")] = "csv",
    camera: Annotated[Optional[str], typer.Option("--camera")] = None,  # noqa: UP045
    session: Annotated[Optional[str], typer.Option("--session")] = None,  # noqa: UP045
    from_: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--from", help="Time, ISO 8601."),
    ] = None,
    to: Annotated[Optional[str], typer.Option("--to", help="Time, ISO 8601.")] = None,  # noqa: UP045
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Write events; the CSV has the columns of analyze's events.csv."""
    from posewire.launcher.commands import events

    with _errors():
        wanted = events.Filter(camera, session, from_, to)
        events.export(config, data_dir, wanted, format_, output)


@events_app.command("tail")
def events_tail(
    camera: Annotated[Optional[str], typer.Option("--camera")] = None,  # noqa: UP045
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Start so far back.")] = 10,
    follow: Annotated[bool, typer.Option(help="Wait for new ones.")] = True,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Show events as they come."""
    from posewire.launcher.commands import events

    with _errors():
        events.tail(config, data_dir, camera, lines, follow=follow)


@db_app.command("upgrade")
def db_upgrade(data_dir: DataDir = None, config: Config = None) -> None:
    """Bring the schema to that of this program."""
    from posewire.launcher.commands import db

    with _errors():
        db.upgrade(config, data_dir)


@db_app.command("status")
def db_status(data_dir: DataDir = None, config: Config = None) -> None:
    """Say where the schema is, and what is in it; exit code 1 where it is not this program's."""
    from posewire.launcher.commands import db

    with _errors():
        if not db.status(config, data_dir):
            raise typer.Exit(1)


@db_app.command("backup")
def db_backup(
    file: Annotated[Path, typer.Argument(help="File to write.")],
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Write a copy of all data to a file, and try whether it comes back."""
    from posewire.launcher.commands import db

    with _errors():
        db.backup(config, data_dir, file)


@db_app.command("restore")
def db_restore(
    file: Annotated[Path, typer.Argument(help="What 'posewire db backup' wrote.")],
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Bring a copy back into an empty database."""
    from posewire.launcher.commands import db

    with _errors():
        db.restore(config, data_dir, file)


@config_app.command("check")
def config_check(config: Config = None) -> None:
    """Read the configuration and say what is wrong with it."""
    from posewire.launcher.commands import config as command

    with _errors():
        command.check(config)


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON schema of the configuration."""
    from posewire.launcher.commands import config as command

    command.schema()


def main() -> None:
    """Entry point of the command."""
    app()
