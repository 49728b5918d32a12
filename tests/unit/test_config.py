"""What the settings of a run say by themselves."""

import pytest

from machine_learning_engineering.shared_libraries.config import RunConfig, make_config
from machine_learning_engineering.shared_libraries.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "checked"),
    [
        ({}, False),
        ({"agent_model": "scripted/replies.json"}, False),
        ({"agent_model": "openai/model"}, True),
        ({"agent_model": "gemini-2.5-pro"}, True),
        ({"models": {"code": "openai/model"}}, True),
        ({"models": {"plan": "scripted/replies.json"}}, False),
        ({"agent_model": "gemini-2.5-pro", "models": {"code": "offline"}}, True),
    ],
    ids=lambda value: str(value),
)
def test_scripts_are_checked_for_leakage_where_any_role_is_a_real_model_s(settings: dict, checked: bool) -> None:
    assert RunConfig(**settings).leakage_checker is checked


@pytest.mark.parametrize("said", [True, False])
def test_what_is_said_of_the_leakage_checker_holds(said: bool) -> None:
    real = {"agent_model": "openai/model", "models": {"plan": "offline"}}
    assert RunConfig(use_data_leakage_checker=said).leakage_checker is said
    assert RunConfig(**real, use_data_leakage_checker=said).leakage_checker is said


def test_models_by_role_come_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLE_MODELS", '{"plan": "scripted/x.yaml"}')
    assert RunConfig.from_env().models == {"plan": "scripted/x.yaml"}
    monkeypatch.setenv("MLE_MODELS", "plan=x")
    with pytest.raises(ConfigError, match="MLE_MODELS must be a JSON object of models"):
        RunConfig.from_env()


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(ConfigError, match="coder"):
        make_config(models={"coder": "offline"})
