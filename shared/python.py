"""Python in a child process, which must import nothing from the folder it was started in."""

from __future__ import annotations

import sys

_WITHOUT_FOLDER = (
    "import sys; del sys.path[0]; import runpy; "
    "runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
)
"""What ``-P`` does, for Python 3.10. The first entry of ``sys.path`` is the current folder here."""


def module_command(
    module: str, *arguments: str, safe_path: bool = sys.version_info >= (3, 11)
) -> list[str]:
    """Return the command that runs ``module`` as ``python -m`` does, but without its folder.

    ``python -m`` puts the current folder before everything else on ``sys.path``, so a file there
    that is called ``calendar.py`` would replace the standard library's. Python's isolated mode
    (``-I``) would also leave out what the user has installed for themselves only.

    ``safe_path``: whether this Python knows ``-P``.
    """
    if safe_path:
        return [sys.executable, "-P", "-m", module, *arguments]
    return [sys.executable, "-c", _WITHOUT_FOLDER.format(module=module), *arguments]
