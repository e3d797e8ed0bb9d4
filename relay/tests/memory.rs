//! Who pays first when all open documents together take too much memory. For those who pay last see
//! `store.rs`; how readers give back what is kept for them is tested where rooms are, in the protocol.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use inkwire_protocol::{Channel, Frame, Role};
use support::{TestRelay, Transport, noise, relief, soon};

const ONE: Channel = Channel(1);

/// Letters of one insert: 300 kB.
const LETTERS: usize = 100_000;

async fn write_noise(relay: &TestRelay, document: &str, inserts: u64) {
    let mut peer = relay.welcomed(Transport::WebSocket, &relay.token("ada", "**", "editor")).await;
    let (mut editor, _) = peer.edit(ONE, document).await;
    for insert in 0..inserts {
        editor.write_durably(&mut peer, &noise(insert, LETTERS)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_that_nobody_has_open_go_first() {
    let relay = TestRelay::start(&["--store", "memory", "--memory-budget", "16MiB", "--unload-after", "1h"]).await;
    let mut documents = 0_u64;
    while relay.metric(&relief("empty_room")) == 0.0 {
        assert!(documents < 60, "{}", relay.relay.core().metrics.render());
        write_noise(&relay, &format!("acme/{documents}"), 6).await;
        documents += 1;
        // Whoever writes faster than the relay looks who may pay would have opens pay too.
        let budget = relay.relay.core().rooms.budget();
        soon("a payment", async {
            while budget.used() >= budget.limit() / 100 * 70 && relay.metric(&relief("empty_room")) == 0.0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    relay.metric_becomes("inkwire_memory_bytes", |bytes| bytes < 16.0 * 0.75 * f64::from(1 << 20)).await;
    soon("an early end of a room", async {
        while relay.relay.core().rooms.len() as u64 >= documents {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let [_, _, readers, writers, opens] = relay.relief();
    assert_eq!([readers, writers, opens], [0.0; 3]);
    // What was unloaded is there.
    let mut peer = relay.welcomed(Transport::WebSocket, &relay.token("ada", "**", "editor")).await;
    peer.open(ONE, "acme/0", Role::Viewer).await;
    peer.find(ONE, |frame| matches!(frame, Frame::Synced(_)).then_some(())).await;
}
