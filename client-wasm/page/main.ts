import { makeEditor } from "./editor.js"
import { startPage } from "./shell.js"

startPage(makeEditor)
