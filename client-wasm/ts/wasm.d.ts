/** The core's file as the bundler copied it: its path, relative to the module that imports it. See build.mjs. */
declare module "inkwire-wasm" {
  const path: string
  export default path
}
