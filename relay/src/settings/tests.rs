//! Precedence, the file's form, and what does not go together.

use clap::{Args as _, FromArgMatches as _};

use super::*;

fn command() -> clap::Command {
    Flags::augment_args(clap::Command::new("serve"))
}

fn from_arguments(arguments: &[&str]) -> Flags {
    let matches = command().try_get_matches_from(std::iter::once("serve").chain(arguments.iter().copied())).unwrap();
    Flags::from_arg_matches(&matches).unwrap()
}

fn from_toml(text: &str) -> Flags {
    toml::from_str(text).unwrap()
}

fn refusal(arguments: &[&str]) -> String {
    Settings::resolve(from_arguments(arguments)).unwrap_err().to_string()
}

#[test]
fn defaults_run_alone() {
    let settings = Settings::resolve(Flags::default()).unwrap();
    assert_eq!(settings.listen.to_string(), "localhost:4433");
    assert!(settings.development_tokens());
    assert_eq!(settings.store, StoreKind::Embedded);
}

#[test]
fn flags_go_over_the_file() {
    let file = from_toml(
        "listen = 'localhost:1'\ndata = 'file'\nbehind-proxy = true\nmax-documents = 7\ndrain-timeout = 2.5\nsend-window = '1MiB'\n\
         allow-origin = ['https://a.example']\nlog-format = 'json'\nunload-after = '250ms'",
    );
    let flags = from_arguments(&["--data", "flag", "--behind-proxy=false", "--max-documents", "9"]);
    let settings = Settings::resolve(flags.or(file)).unwrap();
    assert_eq!(settings.listen.to_string(), "localhost:1");
    assert_eq!(settings.data, Path::new("flag"));
    assert!(!settings.behind_proxy);
    assert_eq!(settings.bounds.max_documents, 9);
    assert_eq!(settings.drain_timeout, Duration::from_millis(2500));
    assert_eq!(settings.unload_after, Duration::from_millis(250));
    assert_eq!(settings.bounds.send_window, 1 << 20);
    assert_eq!(settings.allow_origin, ["https://a.example"]);
    assert_eq!(settings.log_format, LogFormat::Json);
}

#[test]
fn a_store_is_an_engine_or_a_cluster() {
    let cluster = "scylla://ada:secret@db1,db2:9043/inkwire?datacenter=west";
    for flags in [from_arguments(&["--store", cluster]), from_toml(&format!("store = '{cluster}'"))] {
        assert!(!format!("{flags:?}").contains("secret"), "{flags:?}");
        match Settings::resolve(flags).unwrap().store {
            StoreKind::Cluster(address) => assert_eq!(address.to_string(), "scylla://db1,db2:9043/inkwire"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(from_toml("store = 'memory'").store, Some(StoreKind::Memory));
    let arguments = |store| ["serve", "--store", store];
    for (store, reason) in
        [("postgres", "is no store"), ("scylla://db1", "keyspace"), ("scylla://db1/ink?x=y", "no option")]
    {
        let refused = command().try_get_matches_from(arguments(store)).unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
    }
    assert!(toml::from_str::<Flags>("store = 'postgres'").unwrap_err().to_string().contains("is no store"));
}

#[test]
fn every_setting_is_a_flag_a_variable_and_a_key() {
    let command = command();
    for (name, variable) in Flags::NAMES {
        let key = name.replace('_', "-");
        let argument = command
            .get_arguments()
            .find(|argument| argument.get_long() == Some(&key))
            .unwrap_or_else(|| panic!("--{key}"));
        assert_eq!(argument.get_env().unwrap().to_str().unwrap(), *variable);
        assert_eq!(*variable, format!("INKWIRE_{}", name.to_uppercase()));
        let help = argument.get_help().unwrap_or_else(|| panic!("--{key} has no help")).to_string();
        assert!(help.contains("[default: "), "--{key}: {help}");
        // A key of the file: of a wrong type rather than unknown.
        let error = toml::from_str::<Flags>(&format!("{key} = {{}}")).unwrap_err().to_string();
        assert!(!error.contains("unknown field"), "{key}: {error}");
    }
    assert!(toml::from_str::<Flags>("lisen = 'localhost:1'").unwrap_err().to_string().contains("unknown field"));
}

#[test]
fn help_states_the_real_defaults() {
    let settings = Settings::resolve(Flags::default()).unwrap();
    let bounds = &settings.bounds;
    let bytes = |count: u64| ByteCount(count).to_string();
    let command = command();
    for (name, value) in [
        ("listen", settings.listen.to_string()),
        ("data", settings.data.display().to_string()),
        ("log", settings.log.clone()),
        ("datagram-copies", settings.datagram_copies.to_string()),
        ("drain-timeout", Period(settings.drain_timeout).to_string()),
        ("unload-after", Period(settings.unload_after).to_string()),
        ("handshake-timeout", Period(bounds.handshake_timeout).to_string()),
        ("max-sessions", bounds.max_sessions.to_string()),
        ("max-documents", bounds.max_documents.to_string()),
        ("max-tcp-connections", bounds.max_tcp_connections.to_string()),
        ("max-handshakes", bounds.max_handshakes.to_string()),
        ("retry-threshold", bounds.retry_threshold.to_string()),
        ("stream-receive-window", bytes(bounds.stream_receive_window)),
        ("connection-receive-window", bytes(bounds.connection_receive_window)),
        ("send-window", bytes(bounds.send_window)),
        ("datagram-buffer", bytes(bounds.datagram_buffer as u64)),
        ("spool", bytes(bounds.spool)),
        ("store-queue", bytes(bounds.store_queue as u64)),
        ("udp-buffer", bytes(bounds.udp_buffer as u64)),
        ("gso", bounds.gso.to_string()),
    ] {
        let argument = command.get_arguments().find(|argument| argument.get_long() == Some(name)).unwrap();
        let help = argument.get_help().unwrap().to_string();
        assert!(help.contains(&format!("[default: {value}]")), "--{name}: {value} is not in {help}");
    }
}

#[test]
fn lists_repeat_or_take_commas() {
    let flags = from_arguments(&[
        "--allow-origin",
        "https://a.example,https://b.example:8443",
        "--allow-origin",
        "HTTP://C.example:80/",
    ]);
    let settings = Settings::resolve(flags).unwrap();
    assert_eq!(settings.allow_origin, ["https://a.example", "https://b.example:8443", "http://c.example"]);
    for origin in
        ["app.example", "https://", "ftp://a.example", "https://a.example/path", "https://u@a.example", "null", "*"]
    {
        assert!(Settings::resolve(from_arguments(&["--allow-origin", origin])).is_err(), "{origin}");
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let keys = ["--token-key", "HS256:k", "--token-issuer", "i", "--token-audience", "a"];
    let with_keys = |more: &[&'static str]| [more, &keys].concat();
    assert!(refusal(&["--tls-cert", "c"]).contains("go together"));
    assert!(refusal(&with_keys(&["--listen", "0.0.0.0:4433"])).contains("beyond loopback"));
    assert!(refusal(&["--listen", "0.0.0.0:4433", "--behind-proxy"]).contains("--token-key"));
    assert!(refusal(&["--behind-proxy"]).contains("--token-key"));
    assert!(refusal(&["--listen", "[::]:1", "--tls-cert", "c", "--tls-key", "k"]).contains("--token-key"));
    assert!(refusal(&["--token-key", "HS256:k"]).contains("--token-issuer"));
    assert!(refusal(&["--token-issuer", "i"]).contains("--token-key"));
    assert!(refusal(&["--token-key", "RS256:k", "--token-issuer", "i", "--token-audience", "a"]).contains("RS256"));
    assert!(refusal(&["--send-window", "1KiB"]).contains("send-window"));
    assert!(refusal(&["--datagram-buffer", "0"]).contains("--datagram-buffer is 0 bytes, 2048"));
    assert!(refusal(&["--spool", "1KiB"]).contains("--spool is 1024 bytes"));
    assert!(refusal(&["--max-documents", "0"]).contains("max-documents"));
    for sound in [
        with_keys(&["--listen", "0.0.0.0:4433", "--behind-proxy"]),
        with_keys(&["--listen", "[::]:443", "--tls-cert", "c", "--tls-key", "k"]),
        with_keys(&[]),
    ] {
        Settings::resolve(from_arguments(&sound)).unwrap();
    }
}
