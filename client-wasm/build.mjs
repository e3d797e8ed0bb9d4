// Builds dist/ from ts/, page/ and pkg/ (what wasm-bindgen made of the Rust core):
//   dist/client/  the package: inkwire.js and the bindings, and content-hashed files that they load
//   dist/types/   the package's types
//   dist/page/    the demo editors: index.html, rich.html and content-hashed assets
// With --tests it builds ts/test/ into build/tests/ instead, for `node --test`.
import { execFileSync } from "node:child_process"
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises"
import { createHash } from "node:crypto"
import { existsSync } from "node:fs"
import { gzipSync } from "node:zlib"
import path from "node:path"
import { fileURLToPath } from "node:url"
import esbuild from "esbuild"

const root = path.dirname(fileURLToPath(import.meta.url))
const at = (...parts) => path.join(root, ...parts)
const bin = name => at("node_modules", ".bin", name)
const WASM = at("pkg", "inkwire_client_wasm_bg.wasm")

/** What the wasm may be, gzipped: docs/src/decisions/wasm.md has what is in it. It grows by decision alone. */
const WASM_BUDGET_BYTES = 230_000

/** The pages, by the name of the script that each starts with. One document's page is like the other but for its editor. */
const PAGES = { main: "index.html", rich: "rich.html" }

const common = {
  bundle: true,
  format: "esm",
  target: ["es2022", "chrome114", "firefox115", "safari16.4"],
  loader: { ".wasm": "file" },
  alias: { "inkwire-wasm": WASM },
  legalComments: "none",
  logLevel: "warning",
}

if (!existsSync(WASM)) {
  console.error("client-wasm/pkg is missing: run `cargo xtask build`, which compiles the core and then calls this")
  process.exit(1)
}

if (process.argv.includes("--tests")) await buildTests()
else await buildDist()

async function buildTests() {
  await rm(at("build"), { recursive: true, force: true })
  const tests = (await readdir(at("ts/test"))).filter(name => name.endsWith(".test.ts"))
  await esbuild.build({
    ...common,
    entryPoints: tests.map(name => at("ts/test", name)),
    outdir: at("build/tests"),
    platform: "node",
    target: "node20",
    assetNames: "[name]",
    sourcemap: "inline",
  })
}

async function buildDist() {
  execFileSync(bin("tsc"), ["--noEmit"], { cwd: root, stdio: "inherit" })
  // Built aside and then swapped in, so that a failed build leaves the last good one and never half of each.
  const out = at("build", "dist")
  await rm(at("build"), { recursive: true, force: true })
  await mkdir(path.join(out, "client"), { recursive: true })
  await buildClient(path.join(out, "client"))
  execFileSync(bin("tsc"), ["-p", "tsconfig.types.json", "--outDir", path.join(out, "types")], { cwd: root, stdio: "inherit" })
  await buildPage(path.join(out, "page"))
  await rm(at("dist"), { recursive: true, force: true })
  await rename(out, at("dist"))
}

async function buildClient(outdir) {
  await esbuild.build({
    ...common,
    entryPoints: [
      { in: at("ts/index.ts"), out: "inkwire" },
      { in: at("ts/codemirror.ts"), out: "codemirror" },
      { in: at("ts/quill.ts"), out: "quill" },
      { in: at("ts/textarea.ts"), out: "textarea" },
    ],
    outdir,
    splitting: true,
    minify: true,
    sourcemap: false,
    external: ["@codemirror/*", "quill", "quill-delta"],
    chunkNames: "chunk-[hash]",
    assetNames: "inkwire-[hash]",
  })
  for (const name of (await readdir(outdir)).sort()) {
    const bytes = await readFile(path.join(outdir, name))
    const gzipped = gzipSync(bytes, { level: 9 }).length
    console.log(`client/${name}: ${bytes.length} bytes, ${gzipped} gzipped`)
    if (name.endsWith(".wasm") && gzipped > WASM_BUDGET_BYTES) {
      throw new Error(`${name} has ${gzipped} bytes gzipped, over the budget of ${WASM_BUDGET_BYTES}: see docs/src/decisions/wasm.md`)
    }
  }
}

async function buildPage(outdir) {
  const assets = path.join(outdir, "assets")
  const result = await esbuild.build({
    ...common,
    entryPoints: [...Object.keys(PAGES).map(name => at("page", `${name}.ts`)), at("page/style.css"), at("page/rich.css")],
    outdir: assets,
    entryNames: "[name]-[hash]",
    chunkNames: "chunk-[hash]",
    splitting: true,
    minify: true,
    metafile: true,
    // The demo is a user of the published module like any other.
    alias: { ...common.alias, inkwire: "/client/inkwire.js" },
    external: ["/client/inkwire.js"],
  })
  const outputs = Object.entries(result.metafile.outputs)
  const named = source => `/assets/${path.basename(outputs.find(([, { entryPoint }]) => entryPoint?.endsWith(`page/${source}`))[0])}`
  const icon = await readFile(at("page/icon.svg"))
  const iconName = `icon-${createHash("sha256").update(icon).digest("hex").slice(0, 8).toUpperCase()}.svg`
  await writeFile(path.join(assets, iconName), icon)
  const template = await readFile(at("page/index.html"), "utf8")
  for (const [script, name] of Object.entries(PAGES)) {
    const styles = ["style.css", ...(script === "main" ? [] : [`${script}.css`])]
    const html = template
      .replaceAll("%ICON%", `/assets/${iconName}`)
      .replace("%SCRIPT%", named(`${script}.ts`))
      .replace("%STYLES%", styles.map(style => `<link rel="stylesheet" href="${named(style)}">`).join("\n    "))
    await writeFile(path.join(outdir, name), html)
  }
}
