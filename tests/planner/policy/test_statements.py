from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentkit.planner.policy.statements import cut

strings = st.text(st.characters(exclude_characters='"\\', exclude_categories=("Cs",))).map(
    lambda text: f'"{text}"'
)
plain = st.text("abc \n(){}", max_size=8)
comments = st.text("abc;\" '", max_size=8).map(lambda text: f"//{text}\n")
policies = st.lists(st.one_of(strings, plain, st.just('"\\";"')), max_size=4).map(
    lambda pieces: f"forbid {''.join(pieces)};"
)


@given(st.lists(st.tuples(st.one_of(comments, st.just("\n ")), policies), max_size=5))
def test_policies_come_out_as_they_were_written_at_their_lines(
    written: list[tuple[str, str]],
) -> None:
    text, expected = "", []
    for between, policy in written:
        text += between
        expected.append((policy, f"f:{text.count(chr(10)) + 1}"))
        text += policy
    assert [(one.text, one.place) for one in cut(text, "f")] == expected


def test_nothing_is_lost_after_the_last_semicolon_or_behind_an_open_string() -> None:
    assert [one.text for one in cut("a; // only words\n", "f")] == ["a;"]
    assert [one.text for one in cut("a; b", "f")] == ["a;", "b"]
    assert [one.text for one in cut('a "b; c;', "f")] == ['a "b; c;']
