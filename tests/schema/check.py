"""Checks what a server wrote against the official JSON schemas of MCP:

    check.py FOLDER_OF_SCHEMAS RECORD

RECORD has one JSON object a line: revision, message, and for an answer to a request the definition of its result and, for
a tool's, the schema that the tool promised. FOLDER holds one schema per revision; extract.mjs makes it. Prints how many
messages were checked, or what is wrong.
"""

import json
import pathlib
import sys

from jsonschema import Draft202012Validator


def validator(schema, name):
    """Returns the validator of one definition, or none where a revision does not have it."""
    table = "$defs" if "$defs" in schema else "definitions"
    if name not in schema[table]:
        return None
    return Draft202012Validator({table: schema[table], "$ref": f"#/{table}/{name}"})


def first_defined(schema, *names):
    found = (validator(schema, name) for name in names)
    return next(one for one in found if one is not None)


def main(folder, record):
    schemas, count, wrong = {}, 0, []
    for line in pathlib.Path(record).read_text().splitlines():
        entry = json.loads(line)
        revision, message = entry["revision"], entry["message"]
        if revision not in schemas:
            schemas[revision] = json.loads(pathlib.Path(folder, f"{revision}.json").read_text())
        schema = schemas[revision]
        checks = [(first_defined(schema, "JSONRPCMessage"), message)]
        if "method" in message:
            checks.append((first_defined(schema, "ServerNotification"), message))
        elif "error" in message:
            checks.append((first_defined(schema, "JSONRPCErrorResponse", "JSONRPCError"), message))
        else:
            checks.append((first_defined(schema, entry["definition"]), message["result"]))
            if entry.get("promised") and not message["result"].get("isError"):
                checks.append((Draft202012Validator(entry["promised"]), message["result"]["structuredContent"]))
        for checked, value in checks:
            count += 1
            for error in checked.iter_errors(value):
                deepest = min(error.context, key=lambda inner: len(inner.message), default=error)
                where = "/".join(str(part) for part in error.absolute_path)
                wrong.append(f"{revision} {entry.get('definition')} at {where}: {deepest.message[:300]}")
    if wrong:
        sys.exit("\n".join(wrong))
    print(count)


main(*sys.argv[1:])
