import pytest

from vitbench.catalog.names import ModelName, parse_model_name, parse_resolution
from vitbench.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("effvit-b2", ModelName("effvit", "b2")),
        ("effvit-b1-cityscapes", ModelName("effvit", "b1-cityscapes")),
        ("effvit-b2+softmax", ModelName("effvit", "b2", kinds=("softmax",))),
        ("fastvit-sa12@train", ModelName("fastvit", "sa12", form="train")),
        ("effvit-l0-backbone", ModelName("effvit", "l0-backbone")),
        ("restormer", ModelName("restormer")),
        ("restormer@train:160x240", ModelName("restormer", form="train", resolution=(160, 240))),
        (
            "effvit-b1-cityscapes+softmax+bilinear",
            ModelName("effvit", "b1-cityscapes", ("softmax", "bilinear")),
        ),
        ("effvit-b1:512x1024", ModelName("effvit", "b1", resolution=(512, 1024))),
        ("effvit-b1:512", ModelName("effvit", "b1", resolution=(512, 512))),
        (
            " EffViT-B1+sra-softmax@train:64x32 ",
            ModelName("effvit", "b1", kinds=("sra-softmax",), form="train", resolution=(64, 32)),
        ),
    ],
)
def test_grammar(text: str, expected: ModelName) -> None:
    assert parse_model_name(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "effvit-",
        "-b2",
        "effvit-b2+",
        "effvit-b2++softmax",
        "restormer-+x",
        "effvit-b2@",
        "effvit b2",
        "a/../b-c",
    ],
)
def test_what_is_no_name_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(UsageError, match="is not a model name") as caught:
        parse_model_name(text)
    assert caught.value.hint is not None
    assert "family-variant" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"), [("224", (224, 224)), ("512x1024", (512, 1024)), (" 64X32 ", (64, 32))]
)
def test_resolution(text: str, expected: tuple[int, int]) -> None:
    assert parse_resolution(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "x", "224x", "1x2x3", "2.5", "big", "0", "-224", "224x0", "６４", "6_4", "+64", "٦٤x64", "9" * 5000],
)
def test_what_is_no_resolution_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="resolution"):
        parse_resolution(text)
    with pytest.raises(UsageError, match="resolution"):
        parse_model_name(f"effvit-b0:{text}")
