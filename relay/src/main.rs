//! The `inkwire` binary: everything is in the library.

fn main() -> std::process::ExitCode {
    inkwire_relay::cli::main()
}
