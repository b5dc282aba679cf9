"""Read markers: they move forward only, and there is a bound."""

from __future__ import annotations

from hubbub.chat.users.read_markers import MARKERS, ReadMarkers


def test_a_marker_moves_forward_only() -> None:
    markers = ReadMarkers()
    moved: list[tuple[str, str, float]] = []
    kept: list[str] = []
    markers.moved.append(lambda *what: moved.append(what))
    markers.keep = kept.append
    assert markers.find("a", "#ops") == 0.0 and markers.of("a") == {}
    assert [markers.advance("a", "#ops", time) for time in (5.0, 3.0, 5.0, 7.0)] == [5.0, 5.0, 5.0, 7.0]
    assert moved == [("a", "#ops", 5.0), ("a", "#ops", 7.0)] and kept == ["a", "a"]
    markers.merge("a", {"#ops": 6.0, "bo": 1.0})
    assert markers.of("a") == {"#ops": 7.0, "bo": 1.0} and kept == ["a", "a"]
    assert markers.find("b", "#ops") == 0.0


def test_the_marker_that_has_not_moved_for_the_longest_time_is_forgotten() -> None:
    markers = ReadMarkers()
    for number in range(MARKERS):
        markers.advance("a", f"#{number}", 1.0)
    markers.advance("a", "#0", 2.0)
    markers.advance("a", "#new", 1.0)
    assert len(markers.of("a")) == MARKERS and markers.find("a", "#0") and not markers.find("a", "#1")
