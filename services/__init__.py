"""The services of Posewire; each subpackage is one process role and imports no other."""
