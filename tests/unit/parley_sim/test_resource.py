"""What a spawn request names, and what is said of names that are none."""

import pytest

from parley_sim.refusal import Refusal
from parley_sim.resource import AmrResource, PalletResource, read_resource
from sim.bullet.boxes import BoxSize


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("parley://pallet", PalletResource(0)),
        ("parley://pallet?sku=7", PalletResource(7)),
        ("parley://amr", AmrResource()),
        ("parley://box", BoxSize(1.0, 1.0, 1.0, 0.0)),
        ("parley://box?length=0.6&width=0.4&height=1.5&mass=12", BoxSize(0.6, 0.4, 1.5, 12.0)),
        ("parley://box/?mass=0", BoxSize(1.0, 1.0, 1.0, 0.0)),
    ],
)
def test_ours_are_read(uri, what):
    assert read_resource(uri, "ignored where there is a uri") == what


@pytest.mark.parametrize(
    ("uri", "text", "result", "words"),
    [
        ("", "", "NO_RESOURCE", "parley://pallet"),
        ("", "<sdf/>", "RESULT_FEATURE_UNSUPPORTED", "resource_string"),
        ("file:///robot.urdf", "", "UNSUPPORTED_FORMAT", "robot.urdf"),
        ("parley://forklift", "", "UNSUPPORTED_FORMAT", "parley://box"),
        ("parley://amr?mass=5", "", "RESOURCE_PARSE_ERROR", "'mass'"),
        ("parley://[", "", "RESOURCE_PARSE_ERROR", "cannot be read"),
        ("parley://box?length", "", "RESOURCE_PARSE_ERROR", "cannot be read"),
        ("parley://box?len=2", "", "RESOURCE_PARSE_ERROR", "'len'"),
        ("parley://box?length=20", "", "RESOURCE_PARSE_ERROR", "from 0.05 to 10.0"),
        ("parley://box?length=nan", "", "RESOURCE_PARSE_ERROR", "'nan'"),
        ("parley://box?mass=-1", "", "RESOURCE_PARSE_ERROR", "mass is '-1'"),
        ("parley://pallet?sku=1.5", "", "RESOURCE_PARSE_ERROR", "whole number"),
        ("parley://pallet?sku=inf", "", "RESOURCE_PARSE_ERROR", "whole number"),
        ("parley://pallet?sku=two", "", "RESOURCE_PARSE_ERROR", "'two'"),
    ],
)
def test_all_else_is_refused_in_words(uri, text, result, words):
    with pytest.raises(Refusal) as refused:
        read_resource(uri, text)
    assert refused.value.result == result
    assert words in str(refused.value)
