from typing import cast

from rota.worker.capture import LINE_CHARS_MAX, AttemptOutput, RoutedStream, capturing
from rota.worker.outlet import Outlet


class Kept:
    """Stands where the socket would be."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str, str]] = []

    def add_line(self, key: int, stream: str, text: str) -> None:
        self.lines.append((key, stream, text))


class Real:
    """The stream that was there before."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)


def output(kept: Kept, lines_max: int = 100, bytes_max: int = 100_000) -> AttemptOutput:
    return AttemptOutput(cast("Outlet", kept), 7, lines_max=lines_max, bytes_max=bytes_max)


def test_text_in_any_pieces_becomes_whole_lines() -> None:
    kept = Kept()
    made = output(kept)
    for piece in ("a", "b\nc", "\n\nd"):
        made.write("stdout", piece)
    made.finish()
    assert [text for _, _, text in kept.lines] == ["ab", "c", "", "d"]


def test_streams_do_not_mix_their_unfinished_lines() -> None:
    kept = Kept()
    made = output(kept)
    made.write("stdout", "out")
    made.write("stderr", "err\n")
    made.write("stdout", "put\n")
    assert kept.lines == [(7, "stderr", "err"), (7, "stdout", "output")]


def test_a_line_without_an_end_does_not_grow_for_ever() -> None:
    kept = Kept()
    made = output(kept, bytes_max=10**9)
    for _ in range(50):
        made.write("stdout", "x" * 1_000)
    assert kept.lines != []
    assert max(len(text) for _, _, text in kept.lines) <= LINE_CHARS_MAX


def test_bytes_are_bounded_and_the_last_line_says_so() -> None:
    kept = Kept()
    made = output(kept, bytes_max=10)
    for _ in range(5):
        made.line("log", "ää")
    assert [text for _, _, text in kept.lines] == [
        "ää",
        "ää",
        "truncated: an attempt may log 100 lines and 10 bytes",
    ]


def test_what_comes_after_the_end_is_dropped() -> None:
    kept = Kept()
    made = output(kept)
    made.finish()
    made.line("log", "late")
    assert kept.lines == []


def test_only_what_is_written_inside_an_attempt_is_its_own() -> None:
    kept, real = Kept(), Real()
    stream = RoutedStream("stdout", real)  # pyright: ignore[reportArgumentType]  # only `write` is used
    stream.write("before\n")
    with capturing(output(kept)):
        stream.write("inside\n")
    stream.write("after\n")
    assert kept.lines == [(7, "stdout", "inside")]
    assert real.text == "before\nafter\n"


def test_bytes_become_lines_and_a_character_may_come_in_two_pieces() -> None:
    kept = Kept()
    made = output(kept)
    for piece in (b"a\xc3", b"\xa4\n\xff\x00", b"\n\xc3"):
        made.write_bytes("stdout", piece)
    made.finish()
    assert [text for _, _, text in kept.lines] == ["aä", "\\xff\ufffd", "\\xc3"]


def test_a_stream_takes_bytes_settings_and_a_close_as_the_real_one_would() -> None:
    kept, real = Kept(), Real()
    stream = RoutedStream("stdout", real)  # pyright: ignore[reportArgumentType]  # as much of one as is needed
    stream.reconfigure(line_buffering=True)
    with capturing(output(kept)):
        stream.buffer.write(b"inside")
        stream.close()
        stream.buffer.close()
        stream.write("!\n")
    stream.buffer.write(b"outside \xff")
    assert [text for _, _, text in kept.lines] == ["inside!"]
    assert real.text == "outside \\xff"


def test_the_name_of_a_stream_is_bounded_and_storable() -> None:
    kept = Kept()
    output(kept).line("\0\ud800" * 1_000, "text")
    ((_, stream, _),) = kept.lines
    assert len(stream) <= 20
    assert stream.isprintable()
