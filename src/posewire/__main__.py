"""``python -m posewire`` is the posewire command."""

from posewire.launcher.cli import main

if __name__ == "__main__":
    main()
