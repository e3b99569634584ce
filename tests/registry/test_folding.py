"""Names compared by their parts: however they are written, wherever the part stands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.registry.folding import MAX_TERMS, folded, grams_for, grams_of, is_a_gram, lines_of, terms_of

NAMES = st.text(st.sampled_from("晨光艺术中心龙泉ＡaB7·（） "), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("晨光·艺术（龙泉）", "晨光艺术龙泉"),
        ("ＡＢＣ　少儿英语", "abc少儿英语"),
        ("Straße No.7", "strasseno7"),
        ("①班", "1班"),
        ("—— ·", ""),
    ],
)
def test_how_a_name_is_written_does_not_matter(written: str, meant: str) -> None:
    assert folded(written) == meant


@given(NAMES)
def test_folding_again_changes_nothing(name: str) -> None:
    assert folded(folded(name)) == folded(name)


@given(st.lists(NAMES, min_size=1, max_size=4), st.data())
def test_any_part_of_a_field_is_among_its_grams(fields: list[str], data: st.DataObject) -> None:
    lines = lines_of(fields)
    filled = [line for line in lines.split("\n") if line]
    if not filled:
        return
    line = data.draw(st.sampled_from(filled))
    start = data.draw(st.integers(0, len(line) - 1))
    part = line[start : data.draw(st.integers(start + 1, len(line)))]
    assert grams_for(part) <= grams_of(lines)


@given(st.text(min_size=1, max_size=2), st.text(min_size=1, max_size=2))
def test_texts_of_up_to_two_characters_share_a_gram_only_when_they_are_equal(one: str, other: str) -> None:
    one, other = folded(one), folded(other)
    if one and other and is_a_gram(one) and is_a_gram(other):
        assert (grams_for(one) == grams_for(other)) is (one == other)


def test_no_gram_runs_over_the_end_of_a_field() -> None:
    assert grams_of(lines_of(["晨光", "艺术"])) == {gram for part in ("晨", "光", "晨光", "艺", "术", "艺术") for gram in grams_for(part)}


def test_a_query_is_a_few_words() -> None:
    assert terms_of("  晨光 美术　晨光 !! ") == ["晨光", "美术"]
    assert len(terms_of(" ".join("一二三四五六七八九"))) == MAX_TERMS
    assert terms_of("…") == []
    assert [len(grams_for(term)) for term in ("光", "晨光", "李老师", "𠮷", "𠮷田")] == [1, 1, 2, 1, 2]
