"""Run the mock bank: `python -m bank_adapters.mock_bank --port 0 --data bank.sqlite --port-file bank.port`.

The control key comes from MOCK_BANK_CONTROL_KEY. Once it listens, the bank prints its address as one line.
"""

import argparse
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from bank_adapters.mock_bank.server import create_app


def main() -> None:
    """Serve until SIGTERM or SIGINT, then exit with status 0."""
    parser = argparse.ArgumentParser(prog="python -m bank_adapters.mock_bank", description="A bank for samples and tests.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--data", type=Path, required=True, help="SQLite file with the bank's books")
    parser.add_argument("--port-file", type=Path, help="gets the port once the bank listens")
    parser.add_argument("--public-url", default="", help="address for cashier links, where it is not the called one")
    arguments = parser.parse_args()
    control_key = os.environ.get("MOCK_BANK_CONTROL_KEY", "")
    if len(control_key) < 16:
        sys.exit("MOCK_BANK_CONTROL_KEY must be set, with at least 16 characters")

    os.umask(0o077)
    if arguments.port_file:
        arguments.port_file.unlink(missing_ok=True)
    listener = socket.create_server((arguments.host, arguments.port), backlog=512)
    port: int = listener.getsockname()[1]

    def ready() -> None:
        if arguments.port_file:
            written = arguments.port_file.with_name(arguments.port_file.name + ".new")
            written.write_text(f"{port}\n")
            written.replace(arguments.port_file)
        print(f"http://{arguments.host}:{port}", flush=True)

    # uvicorn raises a signal again after its orderly end; an orderly end is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    app = create_app(arguments.data, control_key, arguments.public_url, ready)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_keep_alive=75, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
