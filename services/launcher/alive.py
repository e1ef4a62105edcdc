"""posewire-alive URL: whether a service answers; for containers' health checks, so it is quick."""

from __future__ import annotations

import http.client
import sys
from urllib.parse import urlsplit

_TIMEOUT_S = 4


def main() -> None:
    """Exit with 0 if the address answers with success, else 1 and the reason."""
    if len(sys.argv) != 2:
        sys.exit("usage: posewire-alive http://HOST:PORT/PATH")
    address = urlsplit(sys.argv[1])
    connection = http.client.HTTPConnection(address.netloc, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", address.path or "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"{sys.argv[1]} does not answer: {error}")
    finally:
        connection.close()
    if status >= 400:
        sys.exit(f"{sys.argv[1]} answers {status}")


if __name__ == "__main__":
    main()
