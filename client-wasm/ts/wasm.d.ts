/** esbuild's `file` loader: the path of the copied file, relative to the module that imports it. */
declare module "*.wasm" {
  const path: string
  export default path
}
