"""Checks every locked dependency: a licence that deny.toml allows, and a package registry as its source.

Reads `cargo metadata` and deny.toml; prints what it found and fails with one line per offence.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def alternatives(expression: str) -> list[list[str]]:
    """Returns an SPDX expression as alternatives of licences that all apply; brackets are few and shallow."""
    expression = expression.replace("/", " OR ").strip()
    while match := re.search(r"\(([^()]*)\)", expression):
        inner = match.group(1)
        rest = expression[: match.start()] + "\0" + expression[match.end() :]
        if " AND " in rest and " OR " in inner:
            return [way for part in inner.split(" OR ") for way in alternatives(rest.replace("\0", part.strip()))]
        expression = rest.replace("\0", inner)
    return [[name.strip() for name in way.split(" AND ")] for way in expression.split(" OR ")]


def main() -> int:
    allowed = set(tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]["allow"])
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    offences = []
    packages = [package for package in metadata["packages"] if package["source"] is not None]
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if not package["source"].startswith("registry+"):
            offences.append(f"{name}: comes from {package['source']}, not from a registry")
        licence = package["license"] or ""
        if not any(set(way) <= allowed for way in alternatives(licence)):
            offences.append(f"{name}: licence {licence or 'unknown'!r} is not allowed by deny.toml")
    print("\n".join(offences) or f"{len(packages)} dependencies: licences and sources as deny.toml allows")
    return 1 if offences else 0


sys.exit(main())
