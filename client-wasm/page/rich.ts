import { makeEditor } from "./rich-editor.js"
import { startPage } from "./shell.js"

startPage(makeEditor)
