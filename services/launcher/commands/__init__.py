"""One module per command of ``posewire``."""
