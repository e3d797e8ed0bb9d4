//! The browser client's core, compiled to WebAssembly.
