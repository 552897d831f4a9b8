"""The sheet of a bulk upload: every wrong cell is told at once, with its line, its column and what is expected."""

from pathlib import Path

import pytest

from audiera.protocol.errors import RequestError
from audiera.protocol.records import Split
from audiera.sdk.sheets import COLUMNS, SheetRow, read_sheet_file


def sheet(folder: Path, text: str | bytes) -> Path:
    file = folder / "sheet.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def errors_of(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(RequestError) as refused:
        read_sheet_file(sheet(folder, text))
    assert refused.value.code == "sheet_invalid"
    found = list(refused.value.values["errors"])  # type: ignore[call-overload]
    assert all(line in refused.value.message for line in found)
    return found


def test_a_row_says_everything_there_is_to_say(tmp_path: Path) -> None:
    file = sheet(
        tmp_path,
        "\ufefffile,title,artist,tags,moods,year,data_type,contains_ai,license,splits,isrc\r\n"
        '"a/b, c.wav","A ""title""",Ann,drum; loop ;,,1999,loop,partly,12,3:7000;4:3000,GBAYE0601498\r\n'
        "plain.wav\r\n",
    )
    rows = read_sheet_file(file)
    assert list(rows) == ["a/b, c.wav", "plain.wav"]
    row = rows["a/b, c.wav"]
    assert row.words == {"title": 'A "title"', "artist": "Ann", "tags": ("drum", "loop"), "year": 1999}
    assert (row.data_type, row.contains_ai, row.license) == ("loop", "partly", 12)
    assert row.splits == (Split(account=3, share=7_000), Split(account=4, share=3_000))
    assert row.identifiers.isrc == "GBAYE0601498"
    assert rows["plain.wav"] == SheetRow({})


def test_every_wrong_cell_is_told_at_once(tmp_path: Path) -> None:
    found = errors_of(
        tmp_path,
        "file,title,bpm,year,contains_ai,license,splits,isrc,upc\n"
        "a.wav,A,120,19x9,maybe,0,3:5000,XX,123\n"
        ",B,,,,,,,\n"
        "a.wav,C,,,,,x:1;4,,\n"
        f"b.wav,{'t' * 301},,,,five,3:10000;3:10000,,,too,many\n",
    )
    said = [
        ("line 1", "'bpm'"),
        ("line 2, year", "'19x9'"),
        ("line 2, contains_ai", "none, partly, all, undeclared"),
        ("line 2, license", "from 1 on"),
        ("line 2, splits", "5000"),
        ("line 2, isrc", "'XX'"),
        ("line 2, upc", "'123'"),
        ("line 3, file", "a file name is needed"),
        ("line 4, file", "twice"),
        ("line 4, splits", "12:7000;15:3000"),
        ("line 5", "more cells than columns"),
        ("line 5, title", "300"),
        ("line 5, license", "'five'"),
        ("line 5, splits", "twice"),
    ]
    for place, what in said:
        assert any(line.startswith(place) and what in line for line in found), (place, what, found)
    assert len(found) == len(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'file' among them, got nothing"),
        ("title,artist\nA,B\n", "'file' among them, got title, artist"),
        ("file,title\n", "line 2"),
        (b"file\n\xff\xfe.wav\n", "UTF-8"),
        ('file,title\na.wav,"open\n', "CSV"),
        ("file,tags\na.wav," + ";".join("x" * 2 for _ in range(65)) + "\n", "64 words"),
        ("file,tags\na.wav," + "x" * 65 + "\n", "64 characters"),
        ("file,splits\na.wav,0:10000\n", "from 1 on"),
        ("file,year\na.wav,1234567890123456789\n", "whole number"),
        ("file,data_type\na.wav,song\n", "recording"),
    ],
)
def test_a_sheet_that_is_none_is_refused(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert any(said in line for line in errors_of(tmp_path, text))


def test_a_sheet_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="No such file"):
        read_sheet_file(tmp_path / "none.csv")


def test_columns_have_one_name_each() -> None:
    assert len(set(COLUMNS)) == len(COLUMNS)
