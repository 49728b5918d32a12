"""Which model a name stands for, and what a wrong name is answered with."""

import subprocess
import sys

import pytest
from google.adk.models import Gemini

from machine_learning_engineering.shared_libraries.config import make_config
from machine_learning_engineering.shared_libraries.errors import ConfigError
from machine_learning_engineering.shared_libraries.models.layer import Layer
from machine_learning_engineering.shared_libraries.models.lite import KEYS, Lite
from machine_learning_engineering.shared_libraries.models.registry import PROVIDERS, make_model, model_for
from machine_learning_engineering.shared_libraries.models.scripted import ScriptedLlm

CONFIG = make_config()


def innermost(model):
    while isinstance(model, Layer):
        model = model.provider
    return model


@pytest.mark.parametrize(
    "name",
    [
        "gemini-2.5-pro",
        "models/gemini-2.0-flash",
        "gemini/gemini-2.5-flash",
        "gemma-4-31b-it",
        "projects/p/locations/l/endpoints/7",
        "projects/p/locations/l/publishers/google/models/gemini-2.5-pro",
    ],
)
def test_every_gemini_name_is_adks_gemini(name, monkeypatch):
    monkeypatch.setenv("GOOGLE_API_KEY", "k")
    assert isinstance(innermost(make_model(name, CONFIG)), Gemini)


def test_gemini_keeps_its_name_through_the_layers(monkeypatch):
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    model = make_model("gemini-2.5-pro", CONFIG)
    assert model.model == innermost(model).model == "gemini-2.5-pro"


def test_gemini_on_vertex_needs_no_key(monkeypatch):
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    assert isinstance(innermost(make_model("gemini-2.5-pro", CONFIG)), Gemini)


def test_gemini_without_a_key_names_the_variable():
    with pytest.raises(ConfigError, match="GOOGLE_API_KEY"):
        make_model("gemini-2.5-pro", CONFIG)


@pytest.mark.parametrize("provider", sorted(KEYS))
def test_a_provider_without_its_key_names_the_variable(provider):
    with pytest.raises(ConfigError, match=KEYS[provider][0]):
        make_model(f"{provider}/some-model", CONFIG)


@pytest.mark.parametrize("provider", sorted(KEYS))
def test_any_of_a_providers_keys_is_enough(provider, monkeypatch):
    monkeypatch.setenv(KEYS[provider][-1], "k")
    assert isinstance(innermost(make_model(f"{provider}/some-model", CONFIG)), Lite)


def test_a_server_of_ones_own_needs_no_key():
    config = make_config(api_base="http://127.0.0.1:9/v1")
    assert isinstance(innermost(make_model("openai/local", config)), Lite)


def test_the_base_url_is_not_given_to_a_provider_with_its_own_protocol():
    config = make_config(api_base="http://127.0.0.1:9/v1")
    with pytest.raises(ConfigError, match="ANTHROPIC_API_KEY"):
        make_model("anthropic/claude", config)


def test_vllm_without_a_url_is_told_so():
    with pytest.raises(ConfigError, match="HOSTED_VLLM_API_BASE"):
        make_model("hosted_vllm/qwen", CONFIG)


def test_a_scripted_name_reads_its_file(tmp_path):
    (tmp_path / "replies.yaml").write_text("a: [one]\n")
    model = make_model(f"scripted/{tmp_path}/replies.yaml", CONFIG)
    assert isinstance(model, ScriptedLlm)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("ofline", "offline"),
        ("gpt-5", "openai/gpt-5"),
        ("claude-opus-4", "anthropic/claude-opus-4"),
        ("qwen3", "ollama_chat/qwen3"),
        ("opnai/gpt-5", "openai/gpt-5"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, near):
    with pytest.raises(ConfigError, match=f"Did you mean {near}\\?"):
        make_model(name, CONFIG)


@pytest.mark.parametrize("name", ["", "no such thing", "nobody/x", "/x", "x/"])
def test_an_unknown_name_is_answered_with_all_that_is_possible(name):
    with pytest.raises(ConfigError) as caught:
        make_model(name, CONFIG)
    assert all(provider.shown in str(caught.value) for provider in PROVIDERS)


def test_a_role_has_the_model_of_the_run_unless_it_has_its_own():
    config = make_config(agent_model="offline", models={"debug": "openai/small"})
    assert (model_for("debug", config), model_for("code", config)) == ("openai/small", "offline")


def test_making_a_litellm_model_does_not_import_litellm():
    program = (
        "import sys\n"
        "from machine_learning_engineering.shared_libraries.config import make_config\n"
        "from machine_learning_engineering.shared_libraries.models.registry import make_model\n"
        "assert 'google.adk' not in sys.modules\n"
        "make_model('openai/x', make_config(api_base='http://127.0.0.1:9'))\n"
        "assert 'litellm' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
