// The client of a TypeScript SDK, led by lines of JSON on standard input until that ends:
//
//   {"id": 1, "method": "callTool", "params": {…}}   →   {"id": 1, "result": {…}}  or  {"id": 1, "problem": {…}}
//
// CROSSWIRE_URL=http://127.0.0.1:8000/mcp CROSSWIRE_KEY=cw_… node speak.mjs v1 | v2 | v2-auto
import { createInterface } from "node:readline";

import * as v2 from "@modelcontextprotocol/client";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as TransportV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const sdk = process.argv[2];
const [Client, Transport] = sdk === "v1" ? [ClientV1, TransportV1] : [v2.Client, v2.StreamableHTTPClientTransport];
const options = sdk === "v2-auto" ? { versionNegotiation: { mode: "auto" } } : {};

const client = new Client({ name: `typescript-${sdk}`, version: "1" }, options);
const headers = { Authorization: `Bearer ${process.env.CROSSWIRE_KEY}` };
await client.connect(new Transport(new URL(process.env.CROSSWIRE_URL), { requestInit: { headers } }));

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

async function perform({ id, method, params }) {
  try {
    say({ id, result: await client[method](params) });
  } catch (problem) {
    say({ id, problem: { code: problem.code, message: problem.message } });
  }
}

const underWay = new Set();
for await (const line of createInterface({ input: process.stdin })) {
  const work = perform(JSON.parse(line)).finally(() => underWay.delete(work));
  underWay.add(work);
}
await Promise.all(underWay);
await client.close();
