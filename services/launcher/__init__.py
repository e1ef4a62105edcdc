"""The posewire command: runs the services, the demo, and analyses of files."""
