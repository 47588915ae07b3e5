// Writes the official JSON schema of each MCP revision, as the conformance suite carries them in its one bundled file:
//
//     node extract.mjs PATH_OF_CONFORMANCE_DIST_INDEX_JS FOLDER
//
// The bundle holds them as object literals, one per revision, and a map from revisions to them.

import { readFileSync, writeFileSync, mkdirSync } from "node:fs";

const [bundle, folder] = process.argv.slice(2);
const text = readFileSync(bundle, "utf8");

/** Returns the literal that begins at a brace; texts in it are skipped. */
function literal(begin) {
  let depth = 0;
  for (let at = begin; at < text.length; at += 1) {
    const character = text[at];
    if ("`'\"".includes(character)) {
      for (at += 1; text[at] !== character; at += 1) if (text[at] === "\\") at += 1;
    } else if (character === "{") depth += 1;
    else if (character === "}" && (depth -= 1) === 0) return text.slice(begin, at + 1);
  }
  throw new Error(`a literal at ${begin} is never closed`);
}

const evaluated = (source) => new Function(`return (${source})`)();
mkdirSync(folder, { recursive: true });
let count = 0;
for (const { 1: name, index, 0: found } of text.matchAll(/([\w$]+)=(?=\{\$schema:`https?:\/\/json-schema)/g)) {
  const schema = evaluated(literal(index + found.length));
  const definitions = schema.$defs ?? schema.definitions;
  if (!definitions?.CallToolResult) continue;
  const quoted = text.match(new RegExp(`"(\\d{4}-\\d{2}-\\d{2})":${name.replace("$", "\\$")}[,}]`));
  // The newest is named by a constant; only it knows stateless requests.
  const revision = quoted?.[1] ?? (definitions.DiscoverResult ? "2026-07-28" : undefined);
  if (!revision) throw new Error(`no revision is known for ${name}`);
  writeFileSync(`${folder}/${revision}.json`, JSON.stringify(schema));
  count += 1;
}
if (count < 3) throw new Error(`only ${count} schemas were found in ${bundle}`);
