"""Each repair parameter is declared once; whatever else names it is held to the declaration."""

from __future__ import annotations

import re
from dataclasses import MISSING
from pathlib import Path
from typing import get_type_hints

import pytest

from service.cli.parameter_docs import with_table
from service.cli.repair_options import REPAIR_OPTIONS, option_of
from service.client.options import (
    NudgeOptions,
    NumberedSettingsOptions,
    RepairOptions,
    SettingsOptions,
    UploadOptions,
    WatchOptions,
)
from service.core.constraints import check_value, fields_of, is_record
from service.core.errors import InvalidRequest
from service.core.params import (
    NudgeParams,
    NumberedRegionSettings,
    RegionSettings,
    RepairParams,
    WatchParams,
)
from service.core.requests import GenerateRequest
from service.schemas.requests import RepairUpload, as_json, validated

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "service" / "ui" / "js" / "draft.js"


@pytest.mark.parametrize(
    ("options", "record"),
    [
        (RepairOptions, RepairParams),
        (UploadOptions, RepairUpload),
        (NudgeOptions, NudgeParams),
        (SettingsOptions, RegionSettings),
        (NumberedSettingsOptions, NumberedRegionSettings),
        (WatchOptions, WatchParams),
    ],
)
def test_the_clients_types_name_what_is_declared(options, record):
    assert set(get_type_hints(options)) == {declared.name for declared in fields_of(record)}


def test_the_command_line_has_an_option_for_all_that_one_can_spell():
    spelled = [declared for declared in fields_of(RepairParams) if not is_record(declared.type)]
    assert len(REPAIR_OPTIONS) == len(spelled) + 1  # and --params
    assert all(option_of(declared) for declared in spelled)


def test_the_docs_hold_the_table_that_the_declarations_make():
    text = (ROOT / "docs" / "clients.md").read_text("utf-8")
    assert with_table(text) == text, "make docs"


def test_the_page_asks_for_parameters_that_there_are():
    asked = set(re.findall(r'{ name: "(\w+)", label', PAGE.read_text("utf-8")))
    known = {declared.name for record in (RepairParams, GenerateRequest) for declared in fields_of(record)}
    assert asked and asked <= known


def test_every_parameter_says_what_it_is():
    assert all(declared.text for declared in fields_of(RepairParams))


@pytest.mark.parametrize("record", [RepairParams, NudgeParams, RegionSettings, WatchParams, RepairUpload])
def test_defaults_are_within_their_limits(record):
    for declared in fields_of(record):
        if declared.default is not MISSING and declared.default is not None:
            check_value(declared, declared.default)


def test_what_is_stored_reads_back():
    asked = {
        "strengths": [0.4, 1.0],
        "nudge": {"copies": 2},
        "per_class": {"hand": {"fill": True}},
        "per_region": [{"region": 1, "prompt": "a fist"}],
        "in_order": [{"seeds_per_attempt": 2}, None],
        "prompt": " a hand ",
    }
    upload = validated(RepairUpload, asked)
    assert upload.prompt == "a hand"
    assert validated(RepairUpload, as_json(upload)) == upload
    assert as_json(upload, only_changed=True).keys() == asked.keys()


def test_limits_hold_for_records_that_are_made_by_hand():
    with pytest.raises(InvalidRequest) as refused:
        RepairParams(strengths=(0.5, float("nan")))
    assert refused.value.code == "strength_out_of_range"
    with pytest.raises(ValueError, match="twice"):
        RepairParams(per_region=(NumberedRegionSettings(region=1), NumberedRegionSettings(region=1)))
