"""What `--on` takes, and what is found here."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from statllama.errors import UsageError
from statllama.runs.forecast.cards import CARDS, card_named
from statllama.runs.forecast.device import found_device, named_device, processor
from tests.conftest import REPO

GIB = 2**30


@pytest.mark.parametrize(
    ("text", "gib"), [("12GB", 12), ("12 gb", 12), ("12GiB", 12), ("7.5g", 7.5), ("8192MB", 8), ("  24 GB ", 24)]
)
def test_an_amount_of_memory_is_a_card_of_that_size(text: str, gib: float) -> None:
    device = named_device(text)
    assert (device.total, device.free, device.cuda, device.here) == (gib * GIB, gib * GIB, True, False)
    assert device.card is None and device.compute_type("auto") == "bfloat16"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("RTX 4090", "RTX 4090"),
        ("rtx4090", "RTX 4090"),
        ("4090", "RTX 4090"),
        ("h200", "H200"),
        ("rtx 4060ti 16gb", "RTX 4060 Ti 16GB"),
        ("4090 laptop", "RTX 4090 Laptop"),
        # As drivers name them.
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "RTX 4090 Laptop"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA A100-SXM4-40GB", "A100 40GB"),
        ("NVIDIA A100-SXM4-80GB", "A100 80GB"),
        ("NVIDIA A100 80GB PCIe", "A100 80GB"),
        ("Tesla T4", "T4"),
        ("Tesla V100-SXM2-32GB", "V100 32GB"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("NVIDIA RTX A6000", "RTX A6000"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "RTX 4070 Ti Super"),
    ],
)
def test_a_card_goes_by_any_of_its_names(text: str, name: str) -> None:
    assert named_device(text).card == next(card for card in CARDS if card.name == name)


def test_every_card_is_found_by_its_own_name_and_has_sizes_of_a_card() -> None:
    for card in CARDS:
        assert card_named(card.name) is card
        assert 4 <= card.gib <= 192 and 100 < card.bandwidth <= 8000 and 10 < card.tflops <= 2500


def test_laptops_are_told_apart_and_have_no_more_than_the_cards_they_are_called_after() -> None:
    for card in CARDS:
        if card.name.endswith(" Laptop") and (desk := card_named(card.name.removesuffix(" Laptop"))):
            assert card is not desk and card.gib <= 24 and card.bandwidth < desk.bandwidth + 1


def test_a_card_without_bfloat16_computes_in_float16() -> None:
    assert named_device("T4").compute_type("auto") == "float16"
    assert named_device("T4").compute_type("float32") == "float32"
    assert named_device("L4").compute_type("auto") == "bfloat16"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("RTX 9090", "no such card in the list; near: RTX 5090"),
        ("RTX 4090 48GB", "no such card"),  # not silently the one of 24
        ("", "is empty"),
        (12, "expected a card or its memory, as text"),  # from Python
        ("12", "for an amount of memory give its unit: --on 12GB"),
        ("0GB", "expected 1GB to 1024GB"),
        ("5000GB", "expected 1GB to 1024GB"),
        ("-8GB", "no such card"),
        ("12TB", "no such card"),
        ("Radeon RX 7900 XTX", "no such card"),
    ],
)
def test_another_name_is_refused_with_what_is_near(text: Any, said: str) -> None:
    with pytest.raises(UsageError, match=r"^--on") as caught:
        named_device(text)
    assert said in caught.value.message


def test_this_computer_has_some_of_its_memory_free() -> None:
    device = named_device("cpu")
    assert 0 < device.free <= device.total and device.here and not device.cuda
    assert found_device().name and device.compute_type("auto") == "float32"
    assert abs(processor().total - device.total) < GIB


def test_naming_a_card_loads_no_torch() -> None:
    code = (
        "import sys; from statllama.runs.forecast.device import named_device, found_device; import statllama.train.fit;"
        "named_device('h200'); found_device(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPO, check=False).returncode == 0
