"""Other people's clients where the service wants keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import openai
import pytest
import webuiapi

from service.client import Anatomend
from service.core.errors import NotFound, Unauthorized
from service.database.connect import Database
from service.keys.records import add_key
from service.runtime.settings import Settings
from tests.service.live import live
from tests.service.scripted import ScriptedEngine

Keys = dict[str, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Keys]]:
    """The address of a service, and the keys of two users."""
    data: Path = tmp_path_factory.mktemp("keyed")
    settings = Settings(data_dir=data)
    database = Database.of(settings)
    database.migrate()
    keys = {name: add_key(database, name)[1] for name in ("ada", "bob")}
    database.close()
    with live(settings, ScriptedEngine()) as url:
        yield url, keys


def test_openais_client(served: tuple[str, Keys]):
    url, keys = served
    with openai.OpenAI(base_url=f"{url}/v1", api_key=keys["ada"], max_retries=0) as client:
        answer = client.images.generate(prompt="x", response_format="url")
    assert answer.data
    address = answer.data[0].url or ""
    for name, status in (("ada", 200), ("bob", 404)):
        headers = {"Authorization": f"Bearer {keys[name]}"}
        assert httpx2.get(address, headers=headers).status_code == status
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        stranger.images.generate(prompt="x")
    assert (caught.value.type, caught.value.code) == ("authentication_error", "invalid_key")


def test_the_web_uis_client_sends_the_key_as_a_password(served: tuple[str, Keys]):
    url, keys = served
    webui = webuiapi.WebUIApi(host="127.0.0.1", port=urlsplit(url).port, username="any", password=keys["ada"])
    assert webui.txt2img(prompt="x", width=64, height=64).image.size == (64, 64)
    stranger = webuiapi.WebUIApi(host="127.0.0.1", port=urlsplit(url).port)
    with pytest.raises(RuntimeError, match="missing_key"):
        stranger.txt2img(prompt="x")


def test_our_own_client_sees_its_own_jobs_only(served: tuple[str, Keys]):
    url, keys = served
    with Anatomend(url, keys["ada"]) as ada, Anatomend(url, keys["bob"]) as bob:
        result = ada.generate("mine", seed=77)
        assert result.answer.id not in {job.id for job in bob.jobs()}
        for look in (lambda: bob.job(result.answer.id), lambda: list(bob.events(result.answer.id))):
            with pytest.raises(NotFound):
                look()
        with pytest.raises(NotFound):
            bob.image(result.answer.images[0].sha256)
    with Anatomend(url, "wrong") as stranger, pytest.raises(Unauthorized):
        stranger.models()
