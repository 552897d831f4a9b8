"""The command line as a person and as a program use it, in this process."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from audiera.cli.main import audiera


class Terminal:
    """Runs commands against a node as one of one's identities."""

    def __init__(self, url: str, config: Path, who: str = "default") -> None:
        self._environment = {"AUDIERA_URL": url, "AUDIERA_CONFIG": str(config), "AUDIERA_AS": who, "COLUMNS": "200"}

    def run(self, *typed: object) -> Result:
        """What a command came to."""
        result = CliRunner().invoke(audiera, [str(word) for word in typed], env=self._environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def words(self, *typed: object) -> str:
        """What a command that succeeds says to a person."""
        result = self.run(*typed)
        assert result.exit_code == 0, result.output
        return result.stdout

    def document(self, *typed: object, code: int = 0) -> Any:
        """The one JSON document that a command gives to a program."""
        result = self.run(*typed, "--json")
        assert result.exit_code == code, result.output
        assert result.stderr == ""
        return json.loads(result.stdout)

    def refusal(self, *typed: object, code: int = 1) -> dict[str, Any]:
        """What a command that is refused gives to a program; it says the same to a person."""
        told = self.run(*typed)
        assert (told.exit_code, told.stdout) == (code, ""), told.output
        result = self.run(*typed, "--json")
        assert (result.exit_code, result.stdout) == (code, ""), result.output
        error: dict[str, Any] = json.loads(result.stderr)["error"]
        assert set(error) == {"code", "message", "values"}
        assert error["message"].split("\n")[0] in told.stderr
        return error


def lines_of(text: str) -> Sequence[Sequence[str]]:
    """The lines of a table, as words."""
    return [line.split() for line in text.splitlines() if line.strip()]
