"""What runs may be passed on by anybody under Apache-2.0: no package under the GPL or AGPL."""

import re
from importlib import metadata

import pytest

STRONG_COPYLEFT = re.compile(r"\bA?GPL|(?<!lesser )(?<!library )\bgeneral public license|\baffero\b", re.IGNORECASE)


def license_of(package: metadata.PackageMetadata) -> str:
    """All that a package's metadata says of its license, short of the full text."""
    classifiers = [line for line in package.get_all("Classifier") or [] if line.startswith("License")]
    field = (package.get("License") or "").strip().split("\n")[0]
    return "; ".join(filter(None, [package.get("License-Expression"), field, *classifiers]))


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("GPL-3.0-or-later", True),
        ("AGPL-3.0-only", True),
        ("License :: OSI Approved :: GNU Affero General Public License v3", True),
        ("License :: OSI Approved :: GNU General Public License v2 (GPLv2)", True),
        ("LGPL-2.1-or-later", False),
        ("GNU Lesser General Public License", False),
        ("Apache-2.0 OR BSD-3-Clause", False),
    ],
)
def test_strong_copyleft_is_told_from_the_rest(text, refused):
    assert bool(STRONG_COPYLEFT.search(text)) is refused


def test_no_package_that_runs_is_strongly_copyleft(root):
    lines = (root / "requirements" / "runtime.txt").read_text(encoding="utf-8").splitlines()
    names = [line.split("==")[0] for line in lines if "==" in line and not line.startswith((" ", "#"))]
    licenses = {}
    for name in names:
        try:
            licenses[name] = license_of(metadata.metadata(name))
        except metadata.PackageNotFoundError:
            continue  # pinned for another system
    assert len(licenses) > 30
    assert [name for name, text in licenses.items() if not text] == []
    assert {name: text for name, text in licenses.items() if STRONG_COPYLEFT.search(text)} == {}
